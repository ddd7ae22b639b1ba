// Package rowset lets SQLite read rows that lie in Go's slices, by a table-valued function: SELECT c0, c1 FROM rapport_rows(?).
//
// A list of rows that is bound as VALUES (?,?), … costs more to hand over than to store. Each value is put into an interface, bound under
// SQLite's mutex, copied once by its parameter and once more by the co-routine that VALUES is, and unbound again; and since parameters
// are limited, the statement runs once for every few dozen rows. Here a statement has one parameter, the number under which the
// rows are lent, and asks for a value when it needs one. SQLite's carray extension does the same for C (https://sqlite.org/carray.html).
// The other way round, Each shows Go the rows of a query where SQLite has them.
package rowset

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"

	"rapport.example/internal/store/capi"
)

const (
	name = "rapport_rows"
	// MaxColumns is how many columns a lent set may have.
	MaxColumns = 32
	// breathe is how many rows SQLite reads until other goroutines get a turn: a statement may take many milliseconds, and requests
	// may wait for this very processor.
	breathe = 64
)

var system struct {
	once   sync.Once
	err    error
	module uintptr  // a *lib.Tsqlite3_module
	loans  sync.Map // of *loan and *visitor by number; what they hold stays where it is until it is deleted here
	last   atomic.Int64
}

// loan is a set that SQLite may read.
type loan struct {
	rows    int64
	columns []column
}

// column is one of its columns: one of the slices, or none if it has no rows.
type column struct {
	ints  []int64
	texts []string
	blobs [][]byte
	bools []bool
}

// Select is a query for all rows of a set of n columns, at most MaxColumns. Its only parameter is the number of a loan.
func Select(n int) string {
	var b strings.Builder
	b.WriteString("SELECT ")
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "c%d", i)
	}
	return b.String() + " FROM " + name + "(?)"
}

// Lend calls use with a number under which statements read the columns, in order: each []int64, []string, [][]byte, whose nil is
// NULL, or []bool, which is 0 and 1, all of one length. Until use returns nobody may change them, and afterwards no statement may be
// under way that reads them. Its error is returned.
func Lend(columns []any, use func(number int64) error) error {
	l, err := lend(columns)
	if err != nil {
		return err
	}
	number := system.last.Add(1)
	system.loans.Store(number, l)
	defer system.loans.Delete(number)
	return use(number)
}

func lend(columns []any) (*loan, error) {
	if len(columns) == 0 || len(columns) > MaxColumns {
		return nil, fmt.Errorf("lend %d columns: 1 to %d can be read", len(columns), MaxColumns)
	}
	l := &loan{columns: make([]column, len(columns))}
	for i, c := range columns {
		n, to := 0, &l.columns[i]
		switch c := c.(type) {
		case []int64:
			to.ints, n = c, len(c)
		case []string:
			to.texts, n = c, len(c)
		case [][]byte:
			to.blobs, n = c, len(c)
		case []bool:
			to.bools, n = c, len(c)
		default:
			return nil, fmt.Errorf("lend column %d: a %T cannot be read", i, c)
		}
		if i > 0 && int64(n) != l.rows {
			return nil, fmt.Errorf("lend column %d: it has %d rows where the first has %d", i, n, l.rows)
		}
		l.rows = int64(n)
	}
	return l, nil
}

// Register gives the function to every connection of this process that is opened from now on.
func Register() error {
	system.once.Do(func() { system.err = register() })
	return system.err
}

// C's functions that this package stands for, as SQLite's translation to Go has them.
type (
	initFunc    = func(tls *libc.TLS, db, message, api uintptr) int32
	connectFunc = func(tls *libc.TLS, db, aux uintptr, argc int32, argv, table, message uintptr) int32
	bestFunc    = func(tls *libc.TLS, table, info uintptr) int32
	tableFunc   = func(tls *libc.TLS, table uintptr) int32
	openFunc    = func(tls *libc.TLS, table, cursor uintptr) int32
	filterFunc  = func(tls *libc.TLS, cursor uintptr, num int32, str uintptr, argc int32, argv uintptr) int32
	columnFunc  = func(tls *libc.TLS, cursor, context uintptr, i int32) int32
	rowidFunc   = func(tls *libc.TLS, cursor, rowid uintptr) int32
)

func register() error {
	tls := libc.NewTLS()
	defer tls.Close()
	system.module = libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(lib.Tsqlite3_module{})))
	if system.module == 0 {
		return errors.New("no memory for the function")
	}
	m := capi.At[lib.Tsqlite3_module](system.module)
	m.FxConnect, m.FxBestIndex, m.FxDisconnect = capi.Pointer[connectFunc](connect), capi.Pointer[bestFunc](best), capi.Pointer[tableFunc](free)
	m.FxOpen, m.FxClose, m.FxFilter = capi.Pointer[openFunc](open), capi.Pointer[tableFunc](free), capi.Pointer[filterFunc](filter)
	m.FxNext, m.FxEof, m.FxColumn, m.FxRowid = capi.Pointer[tableFunc](next), capi.Pointer[tableFunc](eof), capi.Pointer[columnFunc](value), capi.Pointer[rowidFunc](rowid)
	if rc := lib.Xsqlite3_auto_extension(tls, capi.Pointer[initFunc](extend)); rc != lib.SQLITE_OK {
		return fmt.Errorf("register the function: code %d", rc)
	}
	return nil
}

// extend gives the function to a new connection.
func extend(tls *libc.TLS, db, _, _ uintptr) int32 {
	called, err := libc.CString(name)
	if err != nil {
		return lib.SQLITE_NOMEM
	}
	defer libc.Xfree(tls, called)
	if rc := lib.Xsqlite3_create_module(tls, db, called, system.module, 0); rc != lib.SQLITE_OK {
		return rc
	}
	return extendEach(tls, db)
}

// schema declares the columns without a type, so that values are what they are, and the parameter behind them.
func schema() string {
	var b strings.Builder
	b.WriteString("CREATE TABLE x(")
	for i := range MaxColumns {
		fmt.Fprintf(&b, "c%d, ", i)
	}
	return b.String() + "loan HIDDEN)"
}

// connect makes the table, which has no state.
func connect(tls *libc.TLS, db, _ uintptr, _ int32, _, table, _ uintptr) int32 {
	sql, err := libc.CString(schema())
	if err != nil {
		return lib.SQLITE_NOMEM
	}
	defer libc.Xfree(tls, sql)
	if rc := lib.Xsqlite3_declare_vtab(tls, db, sql); rc != lib.SQLITE_OK {
		return rc
	}
	t := lib.Xsqlite3_malloc(tls, int32(unsafe.Sizeof(lib.Tsqlite3_vtab{})))
	if t == 0 {
		return lib.SQLITE_NOMEM
	}
	*capi.At[lib.Tsqlite3_vtab](t) = lib.Tsqlite3_vtab{}
	*capi.At[uintptr](table) = t
	return lib.SQLITE_OK
}

// free ends a table or a cursor.
func free(tls *libc.TLS, p uintptr) int32 {
	lib.Xsqlite3_free(tls, p)
	return lib.SQLITE_OK
}

// best asks for the loan's number, without which there is nothing to read.
func best(_ *libc.TLS, _, info uintptr) int32 {
	x := capi.At[lib.Tsqlite3_index_info](info)
	for i := range uintptr(x.FnConstraint) {
		c := capi.At[lib.Tsqlite3_index_constraint](x.FaConstraint + i*unsafe.Sizeof(lib.Tsqlite3_index_constraint{}))
		if c.FiColumn == MaxColumns && c.Fop == lib.SQLITE_INDEX_CONSTRAINT_EQ {
			if c.Fusable == 0 {
				return lib.SQLITE_CONSTRAINT
			}
			u := capi.At[lib.Tsqlite3_index_constraint_usage](x.FaConstraintUsage + i*unsafe.Sizeof(lib.Tsqlite3_index_constraint_usage{}))
			u.FargvIndex, u.Fomit = 1, 1
			x.FestimatedCost, x.FestimatedRows = 100, 100
			return lib.SQLITE_OK
		}
	}
	return lib.SQLITE_CONSTRAINT
}

// cursor is a *lib.Tsqlite3_vtab_cursor with what is read behind it. It lies in C's memory; system.loans keeps the loan alive.
type cursor struct {
	_    lib.Tsqlite3_vtab_cursor
	loan uintptr
	row  int64
}

func open(tls *libc.TLS, _, out uintptr) int32 {
	c := lib.Xsqlite3_malloc(tls, int32(unsafe.Sizeof(cursor{})))
	if c == 0 {
		return lib.SQLITE_NOMEM
	}
	*capi.At[cursor](c) = cursor{}
	*capi.At[uintptr](out) = c
	return lib.SQLITE_OK
}

func filter(tls *libc.TLS, c uintptr, _ int32, _ uintptr, _ int32, argv uintptr) int32 {
	found, _ := system.loans.Load(lib.Xsqlite3_value_int64(tls, *capi.At[uintptr](argv)))
	l, ok := found.(*loan)
	if !ok {
		return lib.SQLITE_MISUSE
	}
	x := capi.At[cursor](c)
	x.loan, x.row = uintptr(unsafe.Pointer(l)), 0
	return lib.SQLITE_OK
}

func next(_ *libc.TLS, c uintptr) int32 {
	x := capi.At[cursor](c)
	if x.row++; x.row%breathe == 0 {
		runtime.Gosched()
	}
	return lib.SQLITE_OK
}

func eof(_ *libc.TLS, c uintptr) int32 {
	x := capi.At[cursor](c)
	if x.row < capi.At[loan](x.loan).rows {
		return 0
	}
	return 1
}

// static tells SQLite that what it gets stays where it is, as long as the statement runs.
const static = 0

var nothing [1]byte // where values without any bytes lie

// value gives SQLite the value of a column: numbers as they are, texts and blobs where they lie.
func value(tls *libc.TLS, c, context uintptr, i int32) int32 {
	x := capi.At[cursor](c)
	l := capi.At[loan](x.loan)
	if int(i) >= len(l.columns) {
		return lib.SQLITE_MISUSE
	}
	switch from := &l.columns[i]; {
	case from.ints != nil:
		lib.Xsqlite3_result_int64(tls, context, from.ints[x.row])
	case from.texts != nil:
		s := from.texts[x.row]
		where := unsafe.StringData(s)
		if len(s) == 0 {
			where = &nothing[0]
		}
		lib.Xsqlite3_result_text(tls, context, uintptr(unsafe.Pointer(where)), int32(len(s)), static) //nolint:gosec // SQLite holds no more than a billion bytes
	case from.blobs != nil:
		b := from.blobs[x.row]
		where := unsafe.SliceData(b)
		switch {
		case b == nil:
			lib.Xsqlite3_result_null(tls, context)
			return lib.SQLITE_OK
		case len(b) == 0:
			where = &nothing[0]
		}
		lib.Xsqlite3_result_blob(tls, context, uintptr(unsafe.Pointer(where)), int32(len(b)), static) //nolint:gosec // as above
	case from.bools != nil && from.bools[x.row]:
		lib.Xsqlite3_result_int64(tls, context, 1)
	default:
		lib.Xsqlite3_result_int64(tls, context, 0)
	}
	return lib.SQLITE_OK
}

func rowid(_ *libc.TLS, c, out uintptr) int32 {
	*capi.At[int64](out) = capi.At[cursor](c).row
	return lib.SQLITE_OK
}
