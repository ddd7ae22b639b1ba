package store

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"rapport.example/internal/batch"
	"rapport.example/internal/delivery"
)

// archiveRoom is how many bytes of messages may wait to be archived; then those that come wait.
const archiveRoom = 32 << 20

// archiveWait is how long a reader waits for what is being archived.
const archiveWait = 2 * time.Second

// archiver writes what messages said behind their backs: nobody waits for the disk, and what comes while one write runs
// shares the next.
type archiver struct {
	batch.Group[delivery.Archive]
	room    *semaphore.Weighted
	writing sync.WaitGroup
}

// Archive keeps what a message said, soon; a later one of the same delivery replaces it. It waits only while 32 MiB wait to
// be written. What cannot be written is lost, which the log tells, and so is what waits when the process dies. Nothing is kept
// of a message whose person was deleted meanwhile.
func (db *DB) Archive(ctx context.Context, a delivery.Archive) {
	size := min(int64(len(a.Doc))+256, archiveRoom)
	if err := db.archives.room.Acquire(ctx, size); err != nil {
		db.log.Warn("a message was not archived: too many wait for it", "workspace", a.Workspace, "delivery", a.Delivery)
		return
	}
	done := db.archives.Add(a)
	db.archives.writing.Go(func() {
		if err := <-done; err != nil { // saveArchives told it once for all that it was of
			db.log.Debug("a message was not archived", "workspace", a.Workspace, "delivery", a.Delivery, "error", err)
		}
		db.archives.room.Release(size)
	})
}

// Locking the person's row makes a deletion either see the archive, or be seen; see insertPersonsMail. The person is the
// delivery's, who may be another one since a merge.
const insertArchives = `WITH k (workspace, delivery, created, doc) AS ({rows})
	INSERT INTO archives (workspace, delivery, created, doc)
	SELECT k.workspace, k.delivery, k.created, k.doc FROM k CROSS JOIN deliveries d CROSS JOIN people p
	WHERE d.workspace = k.workspace AND d.id = k.delivery AND p.workspace = d.workspace AND p.person = d.person`

const replaceArchive = ` ON CONFLICT (workspace, delivery) DO UPDATE SET created = excluded.created, doc = excluded.doc`

func (db *DB) saveArchives(ctx context.Context, list []delivery.Archive) error {
	rows := lastOfEach(list)
	if len(rows) == 0 {
		return nil
	}
	sql := insertArchives + db.dialect().share("p") + replaceArchive
	err := db.write(ctx, func(c conn) error {
		return c.execSets(ctx, []bulk{{sql, set{
			col(rows, func(a delivery.Archive) int64 { return a.Workspace }),
			col(rows, func(a delivery.Archive) int64 { return a.Delivery }),
			col(rows, func(a delivery.Archive) int64 { return a.Created }),
			col(rows, func(a delivery.Archive) []byte { return a.Doc }),
		}}})
	})
	if err != nil {
		db.log.Warn("messages were not archived", "messages", len(rows), "error", err)
	}
	return err
}

// lastOfEach keeps the last of each delivery, in the order of keys.
func lastOfEach(list []delivery.Archive) []delivery.Archive {
	type key struct{ workspace, delivery int64 }
	at := make(map[key]int, len(list))
	var out []delivery.Archive
	for _, a := range list {
		if a.Delivery == 0 {
			continue // a reader's mark, see ArchivedMessage
		}
		k := key{a.Workspace, a.Delivery}
		if i, ok := at[k]; ok {
			out[i] = a
			continue
		}
		at[k], out = len(out), append(out, a)
	}
	return sorted(out, func(a, b delivery.Archive) int {
		return cmp.Or(cmp.Compare(a.Workspace, b.Workspace), cmp.Compare(a.Delivery, b.Delivery))
	})
}

// ArchivedMessage reads what a delivery said, nil if that was not kept or is not kept any more. It sees what this process
// has archived before, unless that takes more than two seconds.
func (db *DB) ArchivedMessage(ctx context.Context, ws, number int64) (doc []byte, err error) {
	soon, cancel := context.WithTimeout(ctx, archiveWait)
	defer cancel()
	_ = db.archives.Do(soon, delivery.Archive{}) //nolint:errcheck // whatever became of others' messages: what is there can be read
	_, err = db.queryOne(ctx, `SELECT doc FROM archives WHERE workspace = $1 AND delivery = $2`, []any{ws, number}, &doc)
	return doc, err
}

// ExpireArchives is part of engine.Tx.
func (t *tx) ExpireArchives(ctx context.Context, workspace, before int64, limit int) (int64, error) {
	const sql = `DELETE FROM archives WHERE workspace = $1 AND created < $2 AND delivery IN
		(SELECT delivery FROM archives WHERE workspace = $1 ORDER BY delivery LIMIT $3)`
	n, err := t.c.exec(ctx, sql, workspace, before, int64(limit))
	if err != nil {
		return 0, fmt.Errorf("expire archived messages: %w", err)
	}
	return n, nil
}
