package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"rapport.example/internal/fault"
	"rapport.example/internal/job"
)

var _ job.Store = (*DB)(nil)

const jobColumns = `workspace, kind, id, state, spec, progress, owner, epoch, lease_until, attempts, reads, expired, created, updated, error`

func scanJob(r row) (job.Job, error) {
	var j job.Job
	var state string
	var spec, progress []byte
	err := r.Scan(&j.Workspace, &j.Kind, &j.ID, &state, &spec, &progress, &j.Owner, &j.Epoch, &j.Lease, &j.Attempts, &j.Reads, &j.Expired,
		&j.Created, &j.Updated, &j.Error)
	j.State, j.Spec, j.Progress = job.State(state), spec, progress
	return j, err
}

// CreateJob makes a job under the next number of its kind, in state Queued, or Preparing: then AddToJob gives it the parts that
// it reads, and StartJob queues it. More than job.MostOpen open ones are RateLimited.
func (db *DB) CreateJob(ctx context.Context, ws int64, kind string, spec json.RawMessage, state job.State) (job.Job, error) {
	const (
		next = `INSERT INTO job_numbers AS n (workspace, kind, last) VALUES ($1, $2, 1)
			ON CONFLICT (workspace, kind) DO UPDATE SET last = n.last + 1 RETURNING last`
		open   = `SELECT count(*) FROM jobs WHERE workspace = $1 AND kind = $2 AND state IN ('preparing', 'queued', 'running')`
		insert = `INSERT INTO jobs (` + jobColumns + `) VALUES ($1, $2, $3, $4, $5, NULL, '', 0, 0, 0, 0, FALSE, $6, $6, '')`
	)
	j := job.Job{Key: job.Key{Workspace: ws, Kind: kind}, State: state, Spec: spec, Created: db.now().UnixMilli()}
	j.Updated = j.Created
	err := db.write(ctx, func(c conn) error {
		// Taking the number locks its row, so that of two at once the second counts the first.
		if err := c.query(ctx, next, []any{ws, kind}, func(r row) error { return r.Scan(&j.ID) }); err != nil {
			return err
		}
		var n int64
		if err := c.query(ctx, open, []any{ws, kind}, func(r row) error { return r.Scan(&n) }); err != nil {
			return err
		}
		if n >= job.MostOpen {
			e := fault.New(fault.RateLimited, "%d of these are waiting already", n)
			e.RetryAfter = time.Minute
			return e
		}
		_, err := c.exec(ctx, insert, ws, kind, j.ID, string(j.State), []byte(spec), j.Created)
		return err
	})
	if err != nil {
		return job.Job{}, fmt.Errorf("create a job: %w", err)
	}
	return j, nil
}

// preparing ends a statement about a job that is still being prepared.
const preparing = ` WHERE workspace = $1 AND kind = $2 AND id = $3 AND state = 'preparing'`

// AddToJob gives a job that is being prepared a part; one of the same number is replaced. ErrFenced if it is not any more.
func (db *DB) AddToJob(ctx context.Context, k job.Key, part int64, bytes []byte) error {
	return db.prepare(ctx, k, `UPDATE jobs SET updated = $4`, []any{db.now().UnixMilli()}, func(c conn) error {
		_, err := c.exec(ctx, putJobPart, k.Workspace, k.Kind, k.ID, part, bytes)
		return err
	})
}

// StartJob queues a job whose parts are all there. With a failure it is over instead. ErrFenced if it is not being prepared.
func (db *DB) StartJob(ctx context.Context, k job.Key, failure string) error {
	state := job.Queued
	if failure != "" {
		state = job.Failed
	}
	args := []any{string(state), clean(failure), db.now().UnixMilli()}
	return db.prepare(ctx, k, `UPDATE jobs SET state = $4, error = $5, updated = $6`, args, func(conn) error { return nil })
}

// CancelJob ends an open job as Failed with the error job.Canceled: whoever works on it cannot write any more. What it had done stays
// done. ErrFenced if it is over, or there is none.
func (db *DB) CancelJob(ctx context.Context, k job.Key) error {
	const sql = `UPDATE jobs SET state = 'failed', error = $4, owner = '', epoch = epoch + 1, lease_until = 0, updated = $5
		WHERE workspace = $1 AND kind = $2 AND id = $3 AND state NOT IN ('done', 'failed')`
	err := db.write(ctx, func(c conn) error {
		n, err := c.exec(ctx, sql, k.Workspace, k.Kind, k.ID, job.Canceled, db.now().UnixMilli())
		if err == nil && n == 0 {
			err = job.ErrFenced
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("cancel %s %d: %w", k.Kind, k.ID, err)
	}
	return nil
}

func (db *DB) prepare(ctx context.Context, k job.Key, sql string, args []any, fn func(conn) error) error {
	err := db.write(ctx, func(c conn) error {
		n, err := c.exec(ctx, sql+preparing, append([]any{k.Workspace, k.Kind, k.ID}, args...)...)
		switch {
		case err != nil:
			return err
		case n == 0:
			return job.ErrFenced
		}
		return fn(c)
	})
	if err != nil {
		return fmt.Errorf("prepare %s %d: %w", k.Kind, k.ID, err)
	}
	return nil
}

// Job reads one job; nil if there is none.
func (db *DB) Job(ctx context.Context, k job.Key) (*job.Job, error) {
	const sql = `SELECT ` + jobColumns + ` FROM jobs WHERE workspace = $1 AND kind = $2 AND id = $3`
	all, err := list(ctx, db, sql, []any{k.Workspace, k.Kind, k.ID}, scanJob)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

// Jobs lists a workspace's jobs of a kind, the newest first, limit at most.
func (db *DB) Jobs(ctx context.Context, ws int64, kind string, limit int) ([]job.Job, error) {
	const sql = `SELECT ` + jobColumns + ` FROM jobs WHERE workspace = $1 AND kind = $2 ORDER BY id DESC LIMIT $3`
	return list(ctx, db, sql, []any{ws, kind, int64(limit)}, scanJob)
}

// ClaimJob is part of job.Store. Whether there is a job is looked at without the writer first: mostly there is none.
func (db *DB) ClaimJob(ctx context.Context, kind, owner string, ttl time.Duration) (*job.Job, error) {
	const (
		look = `SELECT workspace, id FROM jobs WHERE kind = $1 AND state IN ('queued', 'running') AND lease_until <= $2
			ORDER BY lease_until, created, workspace, id LIMIT 1`
		claim = `UPDATE jobs SET state = 'running', owner = $4, epoch = epoch + 1, lease_until = $5, attempts = attempts + 1, updated = $6
			WHERE workspace = $1 AND kind = $2 AND id = $3 AND state IN ('queued', 'running') AND lease_until <= $6 RETURNING ` + jobColumns
	)
	var ws, id int64
	now := db.now()
	found, err := db.queryOne(ctx, look, []any{kind, now.UnixMilli()}, &ws, &id)
	if err != nil || !found {
		return nil, err
	}
	var out *job.Job
	err = db.write(ctx, func(c conn) error {
		out = nil // another may have been faster
		args := []any{ws, kind, id, owner, now.Add(ttl).UnixMilli(), now.UnixMilli()}
		return c.query(ctx, claim, args, func(r row) error {
			j, err := scanJob(r)
			out = &j
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("claim a job: %w", err)
	}
	return out, nil
}

// held is the end of a statement that only the claim's holder may carry out.
const held = ` WHERE workspace = $1 AND kind = $2 AND id = $3 AND epoch = $4 AND state = 'running'`

// fenced runs a statement that ends with held, whose further parameters are args, and then fn in the same transaction.
func (db *DB) fenced(ctx context.Context, k job.Key, epoch int64, sql string, args []any, fn func(conn) error) error {
	err := db.write(ctx, func(c conn) error {
		n, err := c.exec(ctx, sql+held, append([]any{k.Workspace, k.Kind, k.ID, epoch}, args...)...)
		switch {
		case err != nil:
			return err
		case n == 0:
			return job.ErrFenced
		case fn != nil:
			return fn(c)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s %d: %w", k.Kind, k.ID, err)
	}
	return nil
}

// RenewJob is part of job.Store.
func (db *DB) RenewJob(ctx context.Context, k job.Key, epoch int64, ttl time.Duration) error {
	return db.fenced(ctx, k, epoch, `UPDATE jobs SET lease_until = $5`, []any{db.now().Add(ttl).UnixMilli()}, nil)
}

// SaveJob is part of job.Files.
func (db *DB) SaveJob(ctx context.Context, k job.Key, epoch int64, progress json.RawMessage) error {
	return db.fenced(ctx, k, epoch, `UPDATE jobs SET progress = $5, updated = $6`, []any{[]byte(progress), db.now().UnixMilli()}, nil)
}

// FinishJob is part of job.Store.
func (db *DB) FinishJob(ctx context.Context, k job.Key, epoch int64, o job.Outcome) error {
	const sql = `UPDATE jobs SET state = $5, error = $6, lease_until = $7, attempts = attempts - $8, owner = '', updated = $9`
	free := int64(0)
	if o.Free {
		free = 1
	}
	return db.fenced(ctx, k, epoch, sql, []any{string(o.State), clean(o.Error), o.Again, free, db.now().UnixMilli()}, nil)
}

const putJobPart = `INSERT INTO job_files (workspace, kind, job, part, bytes) VALUES ($1, $2, $3, $4, $5)
	ON CONFLICT (workspace, kind, job, part) DO UPDATE SET bytes = excluded.bytes`

// AddJobPart is part of job.Files.
func (db *DB) AddJobPart(ctx context.Context, k job.Key, epoch, part int64, bytes []byte, progress json.RawMessage) error {
	const sql = `UPDATE jobs SET progress = $5, updated = $6`
	return db.fenced(ctx, k, epoch, sql, []any{[]byte(progress), db.now().UnixMilli()}, func(c conn) error {
		_, err := c.exec(ctx, putJobPart, k.Workspace, k.Kind, k.ID, part, bytes)
		return err
	})
}

// DropJobParts is part of job.Files. It goes in steps: much at once would hold the writer for long.
func (db *DB) DropJobParts(ctx context.Context, k job.Key, epoch int64) error {
	for {
		var n int64
		err := db.fenced(ctx, k, epoch, `UPDATE jobs SET updated = $5`, []any{db.now().UnixMilli()}, func(c conn) (err error) {
			n, err = dropParts(ctx, c, k)
			return err
		})
		if err != nil || n == 0 {
			return err
		}
	}
}

// dropStep is how many parts one transaction deletes.
const dropStep = 8

func dropParts(ctx context.Context, c conn, k job.Key) (int64, error) {
	const sql = `DELETE FROM job_files WHERE workspace = $1 AND kind = $2 AND job = $3 AND part IN
		(SELECT part FROM job_files WHERE workspace = $1 AND kind = $2 AND job = $3 ORDER BY part LIMIT $4)`
	return c.exec(ctx, sql, k.Workspace, k.Kind, k.ID, int64(dropStep))
}

// JobPart is part of job.Files.
func (db *DB) JobPart(ctx context.Context, k job.Key, part int64) (bytes []byte, err error) {
	const sql = `SELECT bytes FROM job_files WHERE workspace = $1 AND kind = $2 AND job = $3 AND part = $4`
	_, err = db.queryOne(ctx, sql, []any{k.Workspace, k.Kind, k.ID, part}, &bytes)
	return bytes, err
}

// JobParts lists the numbers of a job's parts, ascending, limit at most.
func (db *DB) JobParts(ctx context.Context, k job.Key, limit int) ([]int64, error) {
	const sql = `SELECT part FROM job_files WHERE workspace = $1 AND kind = $2 AND job = $3 ORDER BY part LIMIT $4`
	return list(ctx, db, sql, []any{k.Workspace, k.Kind, k.ID, int64(limit)}, func(r row) (n int64, err error) {
		err = r.Scan(&n)
		return n, err
	})
}

// CountJobRead notes that a job's file was fetched.
func (db *DB) CountJobRead(ctx context.Context, k job.Key) error {
	const sql = `UPDATE jobs SET reads = reads + 1 WHERE workspace = $1 AND kind = $2 AND id = $3`
	return db.write(ctx, func(c conn) error {
		_, err := c.exec(ctx, sql, k.Workspace, k.Kind, k.ID)
		return err
	})
}

// ExpireJobs is part of job.Store. Several nodes may do so at once. Steps are small: much at once would hold the writer for long.
func (db *DB) ExpireJobs(ctx context.Context, kind string, r job.Retention) (more bool, err error) {
	const (
		broken = `UPDATE jobs SET state = 'failed', error = 'its upload broke off' WHERE kind = $1 AND state = 'preparing' AND updated < $2`
		rows   = `DELETE FROM jobs WHERE kind = $1 AND state IN ('done', 'failed') AND updated < $2 AND expired`
	)
	now := db.now()
	if err := db.ifAny(ctx, `state = 'preparing'`, broken, kind, now.Add(-job.PrepareIn).UnixMilli()); err != nil {
		return false, err
	}
	if r.File > 0 {
		if more, err := db.expireFile(ctx, kind, now.Add(-r.File).UnixMilli(), r.Spec); err != nil || more {
			return more, err
		}
	}
	if r.Row > 0 {
		return false, db.ifAny(ctx, `state IN ('done', 'failed') AND expired`, rows, kind, now.Add(-r.Row).UnixMilli())
	}
	return false, nil
}

// ifAny runs sql only if there are such jobs from before a moment: the writer is not troubled for nothing.
func (db *DB) ifAny(ctx context.Context, such, sql, kind string, before int64) error {
	found, err := db.queryOne(ctx, `SELECT id FROM jobs WHERE kind = $1 AND updated < $2 AND `+such+` LIMIT 1`, []any{kind, before}, new(int64))
	if err != nil || !found {
		return err
	}
	return db.write(ctx, func(c conn) error {
		_, err := c.exec(ctx, sql, kind, before)
		return err
	})
}

// expireFile deletes some parts of one job that was over before a moment. The last step finds none and marks the job, of whose spec
// keep tells what stays.
func (db *DB) expireFile(ctx context.Context, kind string, before int64, keep func(json.RawMessage) json.RawMessage) (more bool, err error) {
	const (
		old = `SELECT workspace, id, spec FROM jobs WHERE kind = $1 AND state IN ('done', 'failed') AND updated < $2 AND NOT expired
			ORDER BY updated LIMIT 1`
		mark = `UPDATE jobs SET expired = TRUE, spec = $4 WHERE workspace = $1 AND kind = $2 AND id = $3 AND state IN ('done', 'failed')`
	)
	k := job.Key{Kind: kind}
	var spec []byte
	found, err := db.queryOne(ctx, old, []any{kind, before}, &k.Workspace, &k.ID, &spec)
	if err != nil || !found {
		return false, err
	}
	if keep != nil {
		spec = keep(spec)
	}
	return true, db.write(ctx, func(c conn) error {
		n, err := dropParts(ctx, c, k)
		if err != nil || n > 0 {
			return err
		}
		_, err = c.exec(ctx, mark, k.Workspace, k.Kind, k.ID, spec)
		return err
	})
}
