package store_test

import (
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/fault"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

func TestSameMigrationsOnBothSides(t *testing.T) {
	t.Parallel()
	var names [2][]string
	for i, b := range storetest.Backends() {
		entries, err := fs.ReadDir(store.Migrations(), "migrations/"+b)
		if err != nil || len(entries) == 0 {
			t.Fatalf("%s: %d migrations, %v", b, len(entries), err)
		}
		for _, e := range entries {
			names[i] = append(names[i], e.Name())
		}
	}
	if diff := cmp.Diff(names[0], names[1]); diff != "" {
		t.Errorf("migrations (-sqlite +postgres):\n%s", diff)
	}
}

// with is the embedded migrations and more, the same text for both databases.
func with(t *testing.T, more map[string]string) fs.FS {
	t.Helper()
	out := fstest.MapFS{}
	err := fs.WalkDir(store.Migrations(), "migrations", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := fs.ReadFile(store.Migrations(), path)
		out[path] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range storetest.Backends() {
		for name, text := range more {
			out["migrations/"+b+"/"+name+".sql"] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return out
}

// TestMigrationIsAllOrNothing stops a migration half way, as a crash would: it leaves no trace, those before it stay, and
// the next start carries on.
func TestMigrationIsAllOrNothing(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		good := `CREATE TABLE nine (a BIGINT); INSERT INTO nine VALUES (1), (2);`
		_, err := store.OpenWith(t.Context(), o, with(t, map[string]string{
			"9001_good": good, "9002_bad": `CREATE TABLE half (a BIGINT); INSERT INTO half VALUES (1); INSERT INTO nowhere VALUES (1);`,
		}))
		if err == nil || !strings.Contains(err.Error(), "9002_bad") {
			t.Fatalf("Open with a bad migration = %v, want an error that names it", err)
		}
		db, err := store.OpenWith(t.Context(), o, with(t, map[string]string{"9001_good": good, "9002_bad": `CREATE TABLE half (b BIGINT); INSERT INTO half (b) VALUES (7);`}))
		if err != nil {
			t.Fatalf("Open with the migration mended: %v", err)
		}
		defer func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}()
		if a, b := count(t, db, "nine"), count(t, db, "half"); a != 2 || b != 1 {
			t.Errorf("%d and %d rows, want 2 and 1", a, b)
		}
	})
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		db, err := store.OpenWith(t.Context(), o, with(t, map[string]string{"9001_later": `CREATE TABLE later (a BIGINT)`}))
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		_, err = store.Open(t.Context(), o)
		if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "9001_later") {
			t.Errorf("Open of a newer schema = %v, want a conflict that names the migration", err)
		}
	})
}

func TestMigrateByHand(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		fresh := o.Dir != "" // the other is a copy of a migrated template
		o.SkipMigrate = true
		db := storetest.Open(t, o)
		applied, err := db.Migrate(t.Context())
		if err != nil || fresh != (len(applied) > 0) {
			t.Fatalf("Migrate() = %v, %v", applied, err)
		}
		if again, err := db.Migrate(t.Context()); err != nil || len(again) > 0 {
			t.Errorf("Migrate() again = %v, %v, want nothing", again, err)
		}
		if len(db.Secret()) != 32 {
			t.Error("no secret after Migrate")
		}
	})
}

// TestNodesMigrateAtOnce opens one database several times in the same moment.
func TestNodesMigrateAtOnce(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		files := with(t, map[string]string{"9001_a": `CREATE TABLE a (a BIGINT)`, "9002_b": `CREATE TABLE b (a BIGINT)`})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				db, err := store.OpenWith(t.Context(), o, files)
				if err == nil {
					err = errors.Join(db.Ping(t.Context()), db.Close())
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}
