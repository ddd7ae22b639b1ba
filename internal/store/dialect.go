package store

import "rapport.example/internal/person"

// dialect holds what the one query text cannot say for both databases. A list as one parameter is the fifth difference:
// see set.
type dialect struct {
	name string
	// forUpdate ends a SELECT that locks its rows, see share. SQLite has one writer, so nothing needs a lock there.
	forUpdate string
	// exclusive makes the transaction wait for every other that runs it: for numbers taken as max + 1, and migrations.
	exclusive string
	// putPeople writes documents. On SQLite a person's row is found by one number, see peopleSet: by workspace and ordinal it
	// took a second tree to look through and nearly twice the time.
	putPeople string
	peopleSet func([]person.Ref) set
	// eventTables makes a table of event ids, whose name is %s.
	eventTables string
	// unique tells a violated unique index.
	unique func(error) bool
}

var (
	onSQLite = dialect{
		name: "sqlite", unique: sqliteUnique,
		putPeople: `INSERT INTO people (id, workspace, person, doc) {rows} ON CONFLICT (id) DO UPDATE SET doc = excluded.doc`,
		peopleSet: func(refs []person.Ref) set { return append(set{col(refs, rowOf)}, refSet(refs)...) },
		eventTables: `CREATE TABLE %s (workspace BIGINT NOT NULL, id BLOB NOT NULL, received BIGINT NOT NULL,
			PRIMARY KEY (workspace, id)) WITHOUT ROWID`,
	}
	onPostgres = dialect{
		name: "postgres", forUpdate: " FOR UPDATE",
		putPeople: `INSERT INTO people (workspace, person, doc) {rows} ON CONFLICT (workspace, person) DO UPDATE SET doc = excluded.doc`,
		peopleSet: refSet,
		exclusive: "SELECT pg_advisory_xact_lock(7810771)", unique: postgresUnique,
		eventTables: `CREATE TABLE %s (workspace BIGINT NOT NULL, id BYTEA NOT NULL, received BIGINT NOT NULL, PRIMARY KEY (workspace, id))`,
	}
)

// share ends a SELECT that keeps the rows of one of its tables from being changed until the transaction ends.
func (d *dialect) share(table string) string {
	if d.forUpdate == "" {
		return ""
	}
	return " FOR SHARE OF " + table
}

// rowOf is the number of a person's row on SQLite.
func rowOf(ref person.Ref) int64 { return ref.Workspace<<32 | int64(ref.Ordinal) }
