package store

import (
	"context"
	"sync"
	"time"
)

// Mail is one mail in the development mailbox.
type Mail struct {
	ID        int64 // given by the store, ascending
	Workspace int64
	Delivery  int64  // number, 0 = none
	Person    uint32 // 0 = nobody's
	Sender    string // as in From
	Recipient string // as in To
	Subject   string
	Source    []byte // the whole message, RFC 5322
	Created   int64  // Unix ms of the workspace's clock
}

// SaveMail keeps a mail in the development mailbox; it is on disk when SaveMail returns nil. Calls that come while one
// is being synced share the next transaction. The mail of a person who was deleted meanwhile is not kept, without error.
func (db *DB) SaveMail(ctx context.Context, m Mail) error { return db.mails.do(ctx, m) }

const (
	insertMail = `INSERT INTO mailbox (workspace, delivery, person, sender, recipient, subject, source, created) `
	// Locking the person's row makes a deletion either see the mail, or be seen. The person of a delivery is who has it now:
	// somebody may have been merged since it was claimed.
	insertPersonsMail = `WITH k (workspace, delivery, person, sender, recipient, subject, source, created) AS ({rows}) ` + insertMail + `
		SELECT k.workspace, k.delivery, p.person, k.sender, k.recipient, k.subject, k.source, k.created
		FROM k LEFT JOIN deliveries d ON d.workspace = k.workspace AND d.id = k.delivery
		CROSS JOIN people p WHERE p.workspace = k.workspace AND p.person = coalesce(d.person, k.person)`
)

func (db *DB) saveMails(ctx context.Context, mails []Mail) error {
	var theirs, nobodys []Mail
	for _, m := range mails {
		if m.Person != 0 {
			theirs = append(theirs, m)
		} else {
			nobodys = append(nobodys, m)
		}
	}
	all := []bulk{
		{insertPersonsMail + db.dialect().share("p"), mailSet(theirs)},
		{insertMail + rowsMark, mailSet(nobodys)},
	}
	return db.write(ctx, func(c conn) error { return c.execSets(ctx, all) })
}

func mailSet(mails []Mail) set {
	return set{
		col(mails, func(m Mail) int64 { return m.Workspace }),
		col(mails, func(m Mail) int64 { return m.Delivery }),
		col(mails, func(m Mail) int64 { return int64(m.Person) }),
		col(mails, func(m Mail) string { return clean(m.Sender) }),
		col(mails, func(m Mail) string { return clean(m.Recipient) }),
		col(mails, func(m Mail) string { return clean(m.Subject) }),
		col(mails, func(m Mail) []byte { return append([]byte{}, m.Source...) }),
		col(mails, func(m Mail) int64 { return m.Created }),
	}
}

// groupTimeout bounds one shared write, which no caller's context may cut short.
const groupTimeout = 30 * time.Second

// groupSize bounds the items of one shared write.
const groupSize = 200

// group lets concurrent calls share one flush: while one runs, the next gathers. No timer, so a lone call waits for
// nothing.
type group[T any] struct {
	flush   func(ctx context.Context, items []T) error
	mu      sync.Mutex
	items   []T
	waiters []chan error
	busy    bool
	running sync.WaitGroup
}

// do adds an item and waits until it is flushed.
func (g *group[T]) do(ctx context.Context, item T) error {
	done := g.add(item)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err() // the item may still be written
	}
}

// add gives the channel that says what became of the item.
func (g *group[T]) add(item T) <-chan error {
	done := make(chan error, 1)
	g.mu.Lock()
	g.items, g.waiters = append(g.items, item), append(g.waiters, done)
	if !g.busy {
		g.busy = true
		g.running.Go(g.run)
	}
	g.mu.Unlock()
	return done
}

// run flushes until nothing is left.
func (g *group[T]) run() {
	for {
		g.mu.Lock()
		n := min(len(g.items), groupSize)
		if n == 0 {
			g.busy = false
			g.mu.Unlock()
			return
		}
		items, waiters := g.items[:n:n], g.waiters[:n:n]
		g.items, g.waiters = g.items[n:], g.waiters[n:]
		g.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), groupTimeout)
		err := g.flush(ctx, items)
		cancel()
		for _, w := range waiters {
			w <- err
		}
	}
}

// wait returns when nothing runs; calls of do must have ended.
func (g *group[T]) wait() { g.running.Wait() }
