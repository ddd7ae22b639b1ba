package store

import (
	"context"
	"fmt"

	"rapport.example/internal/fault"
)

// ForgetLog makes every partition start at the beginning of whatever log is there, for a state that was restored without
// its log. Nobody may be reading the partitions.
func (db *DB) ForgetLog(ctx context.Context) error {
	err := db.write(ctx, func(c conn) error {
		_, err := c.exec(ctx, `UPDATE partitions SET checkpoint = 0, stream_id = '', owner = '', lease_until = 0`)
		return err
	})
	if err != nil {
		return fmt.Errorf("forget the log: %w", err)
	}
	return nil
}

// Check reads the whole database and returns an error unless it is sound. On PostgreSQL, which sees to that itself, it does
// nothing.
func (db *DB) Check(ctx context.Context) error {
	if db.Backend() != "sqlite" {
		return nil
	}
	var said string
	if _, err := db.queryOne(ctx, `PRAGMA quick_check(1)`, nil, &said); err != nil {
		return fmt.Errorf("check the database: %w", err)
	}
	if said != "ok" {
		return fault.New(fault.Invalid, "the database is damaged: %s", said)
	}
	return nil
}
