// Package walvfs stands between SQLite and its file system, and bundles what SQLite writes while it keeps a write-ahead log.
//
// SQLite writes each page of a transaction to the log with two system calls: a header of 24 bytes, and the page. Here writes that
// follow each other are kept in memory and go out together, at the latest when the log is synced, read, measured, cut or closed.
// With PRAGMA synchronous=FULL a commit syncs the log before it tells other connections of it (https://sqlite.org/wal.html), so
// nobody looks for a page that is not in the file yet, and a crash leaves what it would leave without this package: some part of an
// unfinished transaction, which SQLite passes over.
//
// What went out, to the log or by a checkpoint to the database, begins to be written to the disk as soon as a megabyte has come together. A
// sync of many megabytes would else keep every other sync waiting, those of another file too.
package walvfs

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"

	"rapport.example/internal/store/capi"
)

// Name is the file system's name, which the parameter vfs of a DSN takes after Register.
const Name = "rapport-wal"

// room is how many bytes are gathered: 31 pages of 4 KiB with their headers fit. SQLite's own file system writes no more than
// 128 KiB less one byte at a time.
const room = 127 << 10

// stretch is how many bytes are written until the system is told to write them to the disk, which takes a request to the disk or several
// each time.
const stretch = 1 << 20

// C's functions that this package calls or stands for, as SQLite's translation to Go has them.
type (
	openFunc     = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32
	closeFunc    = func(tls *libc.TLS, file uintptr) int32
	readFunc     = func(tls *libc.TLS, file, to uintptr, n int32, at int64) int32
	writeFunc    = func(tls *libc.TLS, file, from uintptr, n int32, at int64) int32
	truncateFunc = func(tls *libc.TLS, file uintptr, size int64) int32
	syncFunc     = func(tls *libc.TLS, file uintptr, flags int32) int32
	sizeFunc     = func(tls *libc.TLS, file, size uintptr) int32
)

// system is what SQLite's calls back find by a pointer of theirs, for they carry nothing of ours. SQLite has one list of file
// systems per process.
var system struct {
	once  sync.Once
	err   error
	base  *lib.Tsqlite3_vfs // SQLite's own
	mu    sync.RWMutex
	files map[uintptr]*file // open logs and databases by their *lib.Tsqlite3_file
}

// file is an open log or database. SQLite uses it from one goroutine at a time.
type file struct {
	own     lib.Tsqlite3_io_methods // SQLite's
	methods uintptr                 // ours, a *lib.Tsqlite3_io_methods
	path    string

	// of a log
	buf uintptr      // room bytes, 0 until the first write
	n   int32        // bytes in buf
	at  int64        // where in the log they belong
	end atomic.Int64 // of what SQLite wrote last

	dirty     int64 // bytes that went out since the system was told to write them to the disk
	low, high int64 // between which they are
}

// Register makes the file system known to SQLite, once per process. It does not become the default.
func Register() error {
	system.once.Do(func() { system.err = register() })
	return system.err
}

func register() error {
	tls := libc.NewTLS()
	defer tls.Close()
	if rc := lib.Xsqlite3_initialize(tls); rc != lib.SQLITE_OK {
		return fmt.Errorf("initialize SQLite: code %d", rc)
	}
	base := lib.Xsqlite3_vfs_find(tls, 0)
	if base == 0 {
		return errors.New("SQLite has no file system here")
	}
	name, err := libc.CString(Name)
	if err != nil {
		return fmt.Errorf("name the file system: %w", err)
	}
	mine := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(lib.Tsqlite3_vfs{})))
	if mine == 0 {
		return errors.New("no memory for the file system")
	}
	system.base, system.files = capi.At[lib.Tsqlite3_vfs](base), map[uintptr]*file{}
	v := capi.At[lib.Tsqlite3_vfs](mine)
	*v = *system.base
	v.FpNext, v.FzName, v.FxOpen = 0, name, capi.Pointer[openFunc](open)
	if rc := lib.Xsqlite3_vfs_register(tls, mine, 0); rc != lib.SQLITE_OK {
		return fmt.Errorf("register the file system: code %d", rc)
	}
	return nil
}

// open has SQLite open the file, and if it is a log or a database puts our methods in front of SQLite's.
func open(tls *libc.TLS, vfs, name, f uintptr, flags int32, out uintptr) int32 {
	rc := capi.Function[openFunc](system.base.FxOpen)(tls, vfs, name, f, flags, out)
	if rc != lib.SQLITE_OK || flags&(lib.SQLITE_OPEN_WAL|lib.SQLITE_OPEN_MAIN_DB) == 0 {
		return rc
	}
	w := &file{path: libc.GoString(name), own: *capi.At[lib.Tsqlite3_io_methods](capi.At[lib.Tsqlite3_file](f).FpMethods)}
	w.methods = libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(w.own)))
	if w.methods == 0 {
		return rc // SQLite's own do as well
	}
	m := capi.At[lib.Tsqlite3_io_methods](w.methods)
	*m = w.own
	if flags&lib.SQLITE_OPEN_WAL != 0 {
		m.FxClose, m.FxSync = capi.Pointer[closeFunc](closeLog), capi.Pointer[syncFunc](syncLog)
		m.FxRead, m.FxWrite = capi.Pointer[readFunc](read), capi.Pointer[writeFunc](write)
		m.FxTruncate, m.FxFileSize = capi.Pointer[truncateFunc](truncate), capi.Pointer[sizeFunc](size)
	} else {
		m.FxClose, m.FxWrite = capi.Pointer[closeFunc](closeFile), capi.Pointer[writeFunc](writeDatabase)
	}
	system.mu.Lock()
	system.files[f] = w
	system.mu.Unlock()
	capi.At[lib.Tsqlite3_file](f).FpMethods = w.methods
	return rc
}

func find(f uintptr) *file {
	system.mu.RLock()
	defer system.mu.RUnlock()
	return system.files[f]
}

// Length is how far the log at path is written, in bytes, which is less than its file's size when it has begun anew; 0 if no
// connection of this file system has it open. It may be asked from any goroutine.
func Length(path string) int64 {
	system.mu.RLock()
	defer system.mu.RUnlock()
	length := int64(0)
	for _, w := range system.files {
		if w.path == path {
			length = max(length, w.end.Load()) // one writes, others may have it open to read
		}
	}
	return length
}

// write keeps what follows on what is kept already, as far as there is room.
func write(tls *libc.TLS, f, from uintptr, n int32, to int64) int32 {
	w := find(f)
	w.end.Store(to + int64(n))
	if w.n > 0 && (to != w.at+int64(w.n) || w.n+n > room) {
		gone, from := int64(w.n), w.at
		if rc := w.flush(tls, f); rc != lib.SQLITE_OK {
			return rc
		}
		w.wrote(f, from, gone)
	}
	if w.buf == 0 {
		w.buf = libc.Xmalloc(tls, room)
	}
	if w.buf == 0 || n > room {
		return capi.Function[writeFunc](w.own.FxWrite)(tls, f, from, n, to)
	}
	if w.n == 0 {
		w.at = to
	}
	copy(unsafe.Slice(capi.At[byte](w.buf+uintptr(w.n)), n), unsafe.Slice(capi.At[byte](from), n))
	w.n += n
	return lib.SQLITE_OK
}

// flush writes what is kept. When that fails it is forgotten, for SQLite gives the transaction up.
func (w *file) flush(tls *libc.TLS, f uintptr) int32 {
	n := w.n
	if n == 0 {
		return lib.SQLITE_OK
	}
	w.n = 0
	return capi.Function[writeFunc](w.own.FxWrite)(tls, f, w.buf, n, w.at)
}

// wrote has the system write to the disk what has come together, when that is enough.
func (w *file) wrote(f uintptr, to, n int64) {
	if w.dirty == 0 {
		w.low, w.high = to, to
	}
	w.low, w.high, w.dirty = min(w.low, to), max(w.high, to+n), w.dirty+n
	if w.dirty >= stretch {
		writeOut(f, w.low, w.high-w.low)
		w.dirty = 0
	}
}

// writeDatabase passes a page on.
func writeDatabase(tls *libc.TLS, f, from uintptr, n int32, to int64) int32 {
	w := find(f)
	rc := capi.Function[writeFunc](w.own.FxWrite)(tls, f, from, n, to)
	w.wrote(f, to, int64(n))
	return rc
}

func read(tls *libc.TLS, f, to uintptr, n int32, from int64) int32 {
	w := find(f)
	if rc := w.flush(tls, f); rc != lib.SQLITE_OK {
		return rc
	}
	return capi.Function[readFunc](w.own.FxRead)(tls, f, to, n, from)
}

func truncate(tls *libc.TLS, f uintptr, size int64) int32 {
	w := find(f)
	if rc := w.flush(tls, f); rc != lib.SQLITE_OK {
		return rc
	}
	return capi.Function[truncateFunc](w.own.FxTruncate)(tls, f, size)
}

func syncLog(tls *libc.TLS, f uintptr, flags int32) int32 {
	w := find(f)
	if rc := w.flush(tls, f); rc != lib.SQLITE_OK {
		return rc
	}
	w.dirty = 0
	return capi.Function[syncFunc](w.own.FxSync)(tls, f, flags)
}

func size(tls *libc.TLS, f, to uintptr) int32 {
	w := find(f)
	if rc := w.flush(tls, f); rc != lib.SQLITE_OK {
		return rc
	}
	return capi.Function[sizeFunc](w.own.FxFileSize)(tls, f, to)
}

func closeLog(tls *libc.TLS, f uintptr) int32 {
	rc := find(f).flush(tls, f)
	if last := closeFile(tls, f); rc == lib.SQLITE_OK {
		rc = last
	}
	return rc
}

func closeFile(tls *libc.TLS, f uintptr) int32 {
	w := find(f)
	rc := capi.Function[closeFunc](w.own.FxClose)(tls, f)
	system.mu.Lock()
	delete(system.files, f)
	system.mu.Unlock()
	libc.Xfree(tls, w.buf)
	libc.Xfree(tls, w.methods)
	return rc
}
