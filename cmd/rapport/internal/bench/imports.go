package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"rapport.example/internal/api/admin"
	"rapport.example/internal/api/app"
)

// imports measures an import of as many new people as the option says, into a workspace with the definitions: from the order, with the
// fetch and the check of the file, until all are applied. Each round has a server of its own. Memory is the most that the server has meanwhile; and how much more it is while
// the second half is applied than before, which tells whether it grows with the file.
func (x *run) imports(ctx context.Context) (err error) {
	c, err := x.blank(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	url, over, err := x.seed.serve(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, over()) }()
	began := time.Now()
	read, half, err := x.imported(ctx, c, url)
	if err != nil {
		return err
	}
	took := time.Since(began)
	n, err := c.settled(ctx)
	if err == nil && n.People != x.seed.people {
		err = fmt.Errorf("%d people were imported, there are %d", x.seed.people, n.People)
	}
	if err != nil {
		return err
	}
	peak, err := c.peak()
	if err != nil {
		return err
	}
	x.r.add(key{"import: people", 0, "rows/s"}, float64(x.seed.people)/took.Seconds())
	x.r.add(key{"import: fetching and checking the file", 0, "rows/s"}, float64(x.seed.people)/read.Seconds())
	x.r.add(key{"import: peak memory of the server", 0, "MB"}, max(half, peak))
	x.r.add(key{"import: more memory in the second half", 0, "MB"}, max(0, peak-half))
	return nil
}

// blank starts a server with the definitions and nobody in it.
func (x *run) blank(ctx context.Context) (*child, error) {
	db, err := x.database(ctx, "import")
	if err != nil {
		return nil, err
	}
	x.blanks++
	c, err := x.spawn(ctx, filepath.Join(x.dir, "import"+strconv.Itoa(x.blanks)), db.url, "127.0.0.1:1")
	if err != nil {
		return nil, err
	}
	req := admin.ApplyRequest{File: "bench.yaml", YAML: definitions()}
	if err := c.call(ctx, http.MethodPost, "apply", req, &admin.ApplyAnswer{}); err != nil {
		return nil, errors.Join(fmt.Errorf("apply the definitions: %w", err), c.stop())
	}
	return c, nil
}

// imported orders an import and waits for its end. read is how long it took until the first row could be applied, half the most memory
// that the server had until half of them were; the most since then is counted anew.
func (x *run) imported(ctx context.Context, c *child, url string) (read time.Duration, half float64, err error) {
	order, err := json.Marshal(app.ImportRequest{Import: app.ImportOrder{Name: "people", DataFileURL: url, Type: "people", Identifier: "id"}})
	if err != nil {
		return 0, 0, err
	}
	var in app.ImportAnswer
	began := time.Now()
	err = c.app(ctx, http.MethodPost, "/v1/imports", order, &in)
	path := "/v1/imports/" + strconv.FormatInt(in.Import.ID, 10)
	for err == nil {
		switch in.Import.State {
		case "imported":
			if in.Import.RowsImported != x.seed.people {
				return 0, 0, fmt.Errorf("%d rows were imported, want %d", in.Import.RowsImported, x.seed.people)
			}
			if half == 0 { // a small one is over at once
				half, err = c.peak()
			}
			return read, half, err
		case "failed":
			return 0, 0, fmt.Errorf("the import failed: %s", in.Import.Error)
		case "importing":
			if half == 0 && 2*in.Import.RowsImported >= x.seed.people {
				if half, err = c.peak(); err == nil {
					_, err = c.forget()
				}
			}
		default:
			read = time.Since(began)
		}
		x.progress("import", int(in.Import.RowsImported), x.o.People)
		if err == nil {
			err = pause(ctx, 20*time.Millisecond)
		}
		if err == nil {
			err = c.app(ctx, http.MethodGet, path, nil, &in)
		}
	}
	return 0, 0, err
}

// serve gives everybody as a CSV file, which it makes while it is fetched.
func (t *traffic) serve(ctx context.Context) (url string, over func() error, err error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	s := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		out := bufio.NewWriterSize(w, 1<<20)
		fmt.Fprintln(out, "id,email,first_name,plan,country,score,company,locale,newsletter")
		for n := range t.people {
			if _, err := out.Write(t.csv(n)); err != nil {
				return // the server under test is gone
			}
		}
		_ = out.Flush() //nolint:errcheck // as before
	})}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	return "http://" + l.Addr().String() + "/people.csv", func() error {
		err := s.Close()
		if e := <-done; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	}, nil
}

// csv is person n as a row.
func (t *traffic) csv(n int64) []byte {
	r := mix(n)
	return fmt.Appendf(nil, "u%d,p%d@bench.example,Person %d,%s,%s,%d,Company %d,en,%t\n",
		n, n, n, pick(plans, r), pick(countries, r>>8), r>>16%100, r>>24%5000, r>>40%2 == 0)
}
