package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"rapport.example/internal/store/rowset"
)

// maxPrepared bounds the statements that are kept prepared on the readers' connections: parsing and planning one anew costs as much as
// reading a person with it. There are fewer texts than that.
const maxPrepared = 200

// prepared keeps the statements of a pool by their text.
type prepared struct {
	db    *sql.DB
	mu    sync.RWMutex
	stmts map[string]*sql.Stmt
}

// of is the statement of a text, nil once there are too many.
func (p *prepared) of(ctx context.Context, text string) (*sql.Stmt, error) {
	p.mu.RLock()
	s, n := p.stmts[text], len(p.stmts)
	p.mu.RUnlock()
	if s != nil || n >= maxPrepared {
		return s, nil
	}
	s, err := p.db.PrepareContext(ctx, text) // without the lock, for it may wait for a connection
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if other := p.stmts[text]; other != nil || len(p.stmts) >= maxPrepared { // somebody else was quicker
		return other, s.Close() //nolint:sqlclosecheck // it is kept otherwise
	}
	p.stmts[text] = s
	return s, nil
}

func (p *prepared) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, s := range p.stmts {
		errs = append(errs, s.Close())
	}
	clear(p.stmts)
	return errors.Join(append(errs, p.db.Close())...)
}

// QueryContext runs a statement on any connection of the pool.
func (p *prepared) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	s, err := p.of(ctx, text) //nolint:sqlclosecheck // kept prepared
	if err != nil {
		return nil, err
	}
	if s == nil {
		return p.db.QueryContext(ctx, text, args...)
	}
	return s.QueryContext(ctx, args...)
}

// sqliteReader reads through database/sql.
type sqliteReader struct {
	q interface {
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	}
}

func (s sqliteReader) dialect() *dialect { return &onSQLite }

func (s sqliteReader) query(ctx context.Context, text string, args []any, scan func(row) error) error {
	rows, err := s.q.QueryContext(ctx, text, args...)
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	for rows.Next() {
		if err := scan(rows); err != nil {
			return errors.Join(err, rows.Close()) //nolint:sqlclosecheck // closed before the next statement on the same connection
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

func (s sqliteReader) querySet(ctx context.Context, text string, rows set, scan func(row) error) error {
	if rows.len() == 0 {
		return nil
	}
	return rowset.Lend(rows, func(loan int64) error { return s.query(ctx, rows.lent(text), []any{loan}, scan) })
}
