package store

import "context"

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
func (db *DB) SaveMail(ctx context.Context, m Mail) error { return db.mails.Do(ctx, m) }

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
