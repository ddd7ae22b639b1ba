package store

import (
	"database/sql"

	"github.com/jackc/pgx/v5/pgtype"

	"rapport.example/internal/person"
)

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
	// samePerson says that people p is the person of k, whose columns are workspace and person.
	samePerson string
	// everybody says that people p is of workspace $1 and has an ordinal from $2 to below $3, and sorts by that.
	everybody string
	// eventTables makes a table of event ids, whose name is %s.
	eventTables string
	// lend is where a row puts bytes that are needed until the next row alone: they are not copied.
	lend func(*[]byte) any
	// unique tells a violated unique index.
	unique func(error) bool
}

var (
	onSQLite = dialect{
		name: "sqlite", unique: sqliteUnique,
		lend:       func(b *[]byte) any { return (*sql.RawBytes)(b) },
		putPeople:  `INSERT INTO people (id, workspace, person, doc) {rows} ON CONFLICT (id) DO UPDATE SET doc = excluded.doc`,
		peopleSet:  func(refs []person.Ref) set { return append(set{col(refs, rowOf)}, refSet(refs)...) },
		samePerson: `p.id = (k.workspace << 32) + k.person`,
		everybody:  `p.id >= ($1 << 32) + $2 AND p.id < ($1 << 32) + $3 ORDER BY p.id`,
		eventTables: `CREATE TABLE %s (workspace BIGINT NOT NULL, id BLOB NOT NULL, received BIGINT,
			PRIMARY KEY (workspace, id)) WITHOUT ROWID`,
	}
	onPostgres = dialect{
		name: "postgres", forUpdate: " FOR UPDATE",
		lend:       func(b *[]byte) any { return (*pgtype.DriverBytes)(b) },
		putPeople:  `INSERT INTO people (workspace, person, doc) {rows} ON CONFLICT (workspace, person) DO UPDATE SET doc = excluded.doc`,
		peopleSet:  refSet,
		samePerson: `p.workspace = k.workspace AND p.person = k.person`,
		everybody:  `p.workspace = $1 AND p.person >= $2 AND p.person < $3 ORDER BY p.person`,
		exclusive:  "SELECT pg_advisory_xact_lock(7810771)", unique: postgresUnique,
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

// pastEverybody is behind every ordinal.
const pastEverybody = int64(1) << 32

// rowOf is the number of a person's row on SQLite.
func rowOf(ref person.Ref) int64 { return ref.Workspace<<32 | int64(ref.Ordinal) }
