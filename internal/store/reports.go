package store

import (
	"context"
	"encoding/json"
	"fmt"

	"rapport.example/internal/catalog"
)

const (
	insertReport = `INSERT INTO service_reports (workspace, service, created, id, doc) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (workspace, service, id) DO NOTHING`
	// trimReports keeps the newest: those that are older than the one at the bound go.
	trimReports = `DELETE FROM service_reports WHERE workspace = $1 AND service = $2 AND created < (
		SELECT r.created FROM service_reports r WHERE r.workspace = $1 AND r.service = $2 ORDER BY r.created DESC LIMIT 1 OFFSET $3)`
	selectReports = `SELECT doc FROM service_reports WHERE workspace = $1 AND service = $2 ORDER BY created DESC, id DESC LIMIT $3`
)

// SaveReport keeps a report of how a task with a service went; one with the id of another of its service is not kept again.
// The oldest go when there are more than catalog.KeepReports of the service.
func (db *DB) SaveReport(ctx context.Context, ws int64, r catalog.Report) error {
	doc, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	return db.write(ctx, func(q conn) error {
		if _, err := q.exec(ctx, insertReport, ws, r.Service, r.Created, r.ID, doc); err != nil {
			return err
		}
		_, err := q.exec(ctx, trimReports, ws, r.Service, catalog.KeepReports-1)
		return err
	})
}

// Reports lists the reports of a workspace about a service, the newest first, at most catalog.KeepReports.
func (db *DB) Reports(ctx context.Context, ws int64, service string) ([]catalog.Report, error) {
	return list(ctx, db, selectReports, []any{ws, service, catalog.KeepReports}, func(r row) (catalog.Report, error) {
		var doc []byte
		var out catalog.Report
		if err := r.Scan(&doc); err != nil {
			return out, err
		}
		if err := json.Unmarshal(doc, &out); err != nil {
			return out, fmt.Errorf("decode report: %w", err)
		}
		return out, nil
	})
}
