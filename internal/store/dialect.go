package store

// dialect holds what the one query text cannot say for both databases. A list as one parameter is the fifth difference:
// see set.
type dialect struct {
	name string
	// forUpdate and forShare end a SELECT that locks its rows. SQLite has one writer, so nothing needs a lock there.
	forUpdate, forShare string
	// exclusive makes the transaction wait for every other that runs it: for numbers taken as max + 1, and migrations.
	exclusive string
	// unique tells a violated unique index.
	unique func(error) bool
}

var (
	onSQLite   = dialect{name: "sqlite", unique: sqliteUnique}
	onPostgres = dialect{
		name: "postgres", forUpdate: " FOR UPDATE", forShare: " FOR SHARE",
		exclusive: "SELECT pg_advisory_xact_lock(7810771)", unique: postgresUnique,
	}
)
