package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"rapport.example/cmd/rapport/internal/bench"
	"rapport.example/internal/fault"
)

// benchCmd measures a server on this machine.
type benchCmd struct {
	DatabaseURL string   `name:"database-url" help:"PostgreSQL to measure with; scratch databases are created there and dropped. Default: SQLite." env:"RAPPORT_BENCH_DATABASE_URL" placeholder:"URL"`
	NATSURL     string   `name:"nats-url" help:"NATS cluster to measure with. Default: the log inside the server." env:"RAPPORT_BENCH_NATS_URL" placeholder:"URL"`
	People      int      `help:"People in the database." default:"100000"`
	Rounds      int      `help:"How often each row is measured." default:"3"`
	Seconds     int      `help:"Seconds of load per row and round." default:"10"`
	Connections []int    `help:"Numbers of connections for single requests." default:"64,256" placeholder:"N"`
	Only        []string `help:"Only these of the rows below." placeholder:"ROW"`
	JSON        bool     `name:"json" help:"Print the report as JSON."`
	Rows        []string `arg:"" optional:"" help:"The same as --only."`
}

// Help explains the rows.
func (*benchCmd) Help() string {
	return `Starts this program as a server on a scratch folder, fills it with people, 20 segments and 5 running campaigns, and measures it over the loopback. The load comes from this process; its share of the CPU is printed. Nothing is left behind.

Rows:

  ceiling  Requests with the same body and Basic authentication to a handler that does nothing: the most that HTTP allows here.

  events   Single events, POST /api/v1/customers/{id}/events. Acknowledged: durable in the log. Applied: until all acknowledged ones are rows in the database, which are counted. Lag: from the n-th acknowledgement to the n-th event applied.

  batch    The same events, 500 per request to /api/v2/batch, until applied.

  alone    Those again, handed to engine and store in this process without HTTP and without the durable log.

  mail     1,000 events/s that send a mail each: from writing the request to the mail server having the mail.

  identify PUT /api/v1/customers/{id} with 20 attributes, three of which change, over 256 connections, until applied.

  pipelines The events of batch as messages of the Pipelines API, 500 per request to /v1/batch.

  merges   Two people of six attributes and two events each become one, 250 per request to /api/v2/batch.

  search   POST /v1/customers over 4 connections: by a segment and by an attribute of a fifth of the people, page 1 and page 1,000; and by an attribute of one in 5,000, page 1.

  export   A CSV of all people, from the order until it is done, then fetching it; and the server's memory meanwhile.

  import   A CSV of as many new people, fetched over HTTP, into an empty server with the definitions, until all are applied; and that server's memory.

  timers   CPU of a server that has a million waiting timers and nothing to do.

  segments Conditions put to everybody (ten attributes, twenty events and three mails each) in this process: cold, from columns, by a scan; building a segment; a thousand of them.

  live     Events for 20,000 people without segments and with 200, 20 of which ask how often that very event happened lately; then 100,000 people who leave a segment by time alone within a minute, while events come in at half of the rate that is possible. Over HTTP, and the latter in this process.

  mcp      50 agents at once read a person: by the API, by a tool in their own process, by a tool of the server; what the tool adds to its API call. Then 50 agents read and write through one program for the hosted service, in whose place a server with the vendor's limits stands: none of their requests may be refused.

The cost of a synced write to the scratch folder (TMPDIR) is measured beside each round.`
}

// Run is the command.
func (c *benchCmd) Run(ctx context.Context, a *app) error {
	program, err := os.Executable()
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the program does not find itself")
	}
	var bar *progress
	report, err := bench.Run(ctx, bench.Options{
		Executable: program, DatabaseURL: c.DatabaseURL, NATSURL: c.NATSURL, People: c.People, Rounds: c.Rounds,
		Load: time.Duration(c.Seconds) * time.Second, Connections: c.Connections, Only: slices.Concat(c.Only, c.Rows),
		Progress: func(label string, n, of int) {
			if bar == nil || bar.label != label {
				bar = newProgress(a.err, label, of)
			}
			switch {
			case n >= of:
				bar.done()
			case n > 0:
				bar.n = n - 1
				bar.step()
			}
		},
	})
	switch {
	case report == nil:
		return err
	case c.JSON:
		return errors.Join(a.print(report), err)
	default:
		return errors.Join(report.Print(a.out), err)
	}
}
