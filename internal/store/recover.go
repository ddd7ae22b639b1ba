package store

import (
	"context"
	"fmt"
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
