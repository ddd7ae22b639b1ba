package store

import (
	"context"
	"strconv"
	"strings"

	"rapport.example/internal/api/admin"
	"rapport.example/internal/value"
)

const mailColumns = `m.id, m.workspace, coalesce(d.public_id, ''), m.person, m.sender, m.recipient, m.subject, m.created, d.metrics`

const mailFrom = ` FROM mailbox m LEFT JOIN deliveries d ON m.delivery <> 0 AND d.workspace = m.workspace AND d.id = m.delivery`

func scanMail(r row) (admin.Mail, error) {
	var m admin.Mail
	var who int64
	var metrics []byte
	err := r.Scan(&m.ID, &m.Workspace, &m.Delivery, &who, &m.From, &m.To, &m.Subject, &m.Created, &metrics, &m.Source)
	m.Person = uint32(who)
	// The mailbox notes real time; once the outcome is applied, the delivery knows the workspace's.
	if sent, err := strconv.ParseInt(value.Value(metrics).Get("sent").Text(), 10, 64); err == nil {
		m.Created = sent * 1000
	}
	return m, err
}

// Mails lists mails of the development mailbox, newest first, with ids up to and including q.From; 0 is the newest.
func (db *DB) Mails(ctx context.Context, ws int64, q admin.MailQuery) ([]admin.Mail, error) {
	source := `NULL`
	if q.Source {
		source = `m.source`
	}
	sql := `SELECT ` + mailColumns + `, ` + source + mailFrom + `
		WHERE m.workspace = $1 AND m.id <= $2 AND ($3 = '' OR lower(m.recipient) LIKE $3 ESCAPE '!')
		AND (m.person = $4 OR $4 = 0) AND (d.public_id = $5 OR $5 = '') ORDER BY m.id DESC LIMIT $6`
	from := q.From
	if from == 0 {
		from = 1<<63 - 1
	}
	like := ""
	if q.To != "" {
		like = "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(strings.ToLower(clean(q.To))) + "%"
	}
	return list(ctx, db, sql, []any{ws, from, like, int64(q.Person), clean(q.Delivery), int64(q.Limit)}, scanMail)
}

// Mail reads one mail with its source; nil if there is none. ws 0 is any workspace.
func (db *DB) Mail(ctx context.Context, ws, id int64) (*admin.Mail, error) {
	const sql = `SELECT ` + mailColumns + `, m.source` + mailFrom + ` WHERE m.id = $1 AND (m.workspace = $2 OR $2 = 0)`
	all, err := list(ctx, db, sql, []any{id, ws}, scanMail)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}
