package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
)

// TestPreparedReads reads with more texts than are kept prepared, many at a time, while tables change: each read has its answer.
func TestPreparedReads(t *testing.T) {
	t.Parallel()
	db, err := openSQLite(t.Context(), t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	change := func(text string) {
		t.Helper()
		if err := db.write(t.Context(), func(c conn) error { _, err := c.exec(t.Context(), text); return err }); err != nil {
			t.Fatal(err)
		}
	}
	change("CREATE TABLE numbers (n BIGINT)")
	change("INSERT INTO numbers VALUES (40)")
	read := func(ctx context.Context, i int) error {
		var got int64
		err := db.query(ctx, fmt.Sprintf("SELECT n + %d FROM numbers WHERE n > $1", i), []any{int64(1)}, func(r row) error { return r.Scan(&got) })
		if err == nil && got != int64(40+i) {
			err = fmt.Errorf("read %d = %d, want %d", i, got, 40+i)
		}
		return err
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := range maxPrepared + 50 {
				if err := read(t.Context(), i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 20 {
		change(fmt.Sprintf("ALTER TABLE numbers ADD COLUMN c%d BIGINT", i))
	}
	wg.Wait()
	if n := len(db.reads.stmts); n != maxPrepared {
		t.Errorf("%d statements are kept, want %d", n, maxPrepared)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := read(over, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("read of a caller that has gone: %v", err)
	}
	if err := read(t.Context(), 0); err != nil {
		t.Errorf("after it: %v", err)
	}
	if err := db.close(); err != nil {
		t.Errorf("close: %v", err)
	}
}
