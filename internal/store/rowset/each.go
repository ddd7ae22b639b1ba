package rowset

import (
	"strconv"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"

	"rapport.example/internal/store/capi"
)

// The way back: an aggregate function that shows Go each row of a query where SQLite has it. A driver copies each blob that it hands out, and
// takes as long for a row as its reader does.

const eachName = "rapport_each"

// visitor is who looks at rows.
type visitor struct {
	visit    func(n int64, blob []byte) error
	err      error
	panicked any
}

// EachOf is a query that shows a visitor all rows of another one, in order, whose columns are n, a number, and b, a blob. The
// visitor's number is the parameter at a place, counted from 1. It answers one row.
func EachOf(query string, place int) string {
	return "SELECT " + eachName + "($" + strconv.Itoa(place) + ", n, b) FROM (" + query + ")"
}

// Each calls use with a number under which a statement of EachOf finds the visitor. A blob is the visitor's during the call alone; that
// of NULL is nil. A visitor's error ends the statement and is returned as it is, and a panic goes on from here.
func Each(visit func(n int64, blob []byte) error, use func(number int64) error) error {
	v := &visitor{visit: visit}
	number := system.last.Add(1)
	system.loans.Store(number, v)
	defer system.loans.Delete(number)
	err := use(number)
	if v.panicked != nil {
		panic(v.panicked)
	}
	if v.err != nil {
		return v.err
	}
	return err
}

type (
	stepFunc  = func(tls *libc.TLS, context uintptr, n int32, values uintptr)
	finalFunc = func(tls *libc.TLS, context uintptr)
)

// extendEach gives the function to a new connection.
func extendEach(tls *libc.TLS, db uintptr) int32 {
	called, err := libc.CString(eachName)
	if err != nil {
		return lib.SQLITE_NOMEM
	}
	defer libc.Xfree(tls, called)
	return lib.Xsqlite3_create_function(tls, db, called, 3, lib.SQLITE_UTF8, 0, 0, capi.Pointer[stepFunc](step), capi.Pointer[finalFunc](final))
}

// step shows a row. What it keeps between rows is where the visitor is, whom system.loans keeps alive.
func step(tls *libc.TLS, context uintptr, _ int32, values uintptr) {
	args := capi.At[[3]uintptr](values)
	kept := lib.Xsqlite3_aggregate_context(tls, context, int32(unsafe.Sizeof(uintptr(0))))
	if kept == 0 {
		lib.Xsqlite3_result_error_code(tls, context, lib.SQLITE_NOMEM)
		return
	}
	if *capi.At[uintptr](kept) == 0 {
		found, _ := system.loans.Load(lib.Xsqlite3_value_int64(tls, args[0]))
		v, ok := found.(*visitor)
		if !ok {
			lib.Xsqlite3_result_error_code(tls, context, lib.SQLITE_MISUSE)
			return
		}
		*capi.At[uintptr](kept) = uintptr(unsafe.Pointer(v))
	}
	v := capi.At[visitor](*capi.At[uintptr](kept))
	var blob []byte
	if p := lib.Xsqlite3_value_blob(tls, args[2]); p != 0 {
		blob = unsafe.Slice(capi.At[byte](p), lib.Xsqlite3_value_bytes(tls, args[2]))
	}
	if !v.look(lib.Xsqlite3_value_int64(tls, args[1]), blob) {
		lib.Xsqlite3_result_error_code(tls, context, lib.SQLITE_ABORT)
	}
}

// look reports whether the visitor wants to see more. A panic must not go through SQLite, which would stay as it was in the middle of it.
func (v *visitor) look(n int64, blob []byte) (more bool) {
	defer func() {
		if r := recover(); r != nil {
			v.panicked = r
		}
	}()
	v.err = v.visit(n, blob)
	return v.err == nil
}

func final(tls *libc.TLS, context uintptr) { lib.Xsqlite3_result_null(tls, context) }
