// Package pagemem is where SQLite's page caches have their memory.
//
// A cached page of 4 KiB takes 4,368 bytes with what SQLite notes of it. The translation's allocator rounds that up to 8 KiB, and gives a
// slab of seven back to the system when none is in use. That happens all the time: once somebody else has written, a reader throws all its
// pages away before it reads again. A cache of 16 MB is 570 system calls then, and as many times seven page faults afterwards, for
// which reads waited up to 50 ms on a virtual machine where either takes long. Here pages have slots of their size, which are
// kept for the next page. SQLite's bounds of its caches are what bounds them.
package pagemem

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"

	"rapport.example/internal/store/capi"
)

// Sizes in bytes. What is larger than a page of 4 KiB and no larger than most is taken for a page: SQLite adds 272 bytes, and a few more
// or less in another version.
const (
	page   = 4096
	most   = 4440
	prefix = 8 // where SQLite's own functions note how large an allocation is; so they do here
	slot   = prefix + most
	slab   = 256 * slot // is asked of the system at a time
)

// C's functions that this package calls or stands for.
type (
	mallocFunc  = func(tls *libc.TLS, n int32) uintptr
	freeFunc    = func(tls *libc.TLS, p uintptr)
	reallocFunc = func(tls *libc.TLS, p uintptr, n int32) uintptr
)

var system struct {
	once sync.Once
	err  error
	base lib.Tsqlite3_mem_methods // SQLite's own

	mu    sync.Mutex
	free  uintptr // the first free slot, in which stands the next one's address
	fresh uintptr // what was never used of the newest slab
	left  int     // slots in it
	used  int     // slots that were ever in use
}

// Register has SQLite take its memory here, for the whole process. Where a connection has been opened before without it, all stays as it is.
func Register() error {
	system.once.Do(func() { system.err = register() })
	return system.err
}

func register() error {
	tls := libc.NewTLS()
	defer tls.Close()
	methods := libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(system.base)))
	if methods == 0 {
		return errors.New("no memory to configure SQLite's")
	}
	defer libc.Xfree(tls, methods)
	if rc := configure(tls, lib.SQLITE_CONFIG_GETMALLOC, methods); rc != lib.SQLITE_OK {
		return unless(rc)
	}
	m := capi.At[lib.Tsqlite3_mem_methods](methods)
	system.base = *m
	m.FxMalloc, m.FxFree, m.FxRealloc = capi.Pointer[mallocFunc](malloc), capi.Pointer[freeFunc](free), capi.Pointer[reallocFunc](realloc)
	return unless(configure(tls, lib.SQLITE_CONFIG_MALLOC, methods))
}

func configure(tls *libc.TLS, what int32, methods uintptr) int32 {
	list := libc.NewVaList(methods)
	defer libc.Xfree(tls, list)
	return lib.Xsqlite3_config(tls, what, list)
}

// unless makes an error of a code. Misuse says that SQLite is in use already.
func unless(rc int32) error {
	if rc == lib.SQLITE_OK || rc == lib.SQLITE_MISUSE {
		return nil
	}
	return fmt.Errorf("configure SQLite's memory: code %d", rc)
}

func isPage[N int32 | int64](n N) bool { return n > page && n <= most }

// size is what malloc was asked for.
func size(p uintptr) *int64 { return capi.At[int64](p - prefix) }

func malloc(tls *libc.TLS, n int32) uintptr {
	if !isPage(n) {
		return capi.Function[mallocFunc](system.base.FxMalloc)(tls, n)
	}
	p := take(tls)
	if p == 0 {
		return 0
	}
	p += prefix
	*size(p) = int64(n)
	return p
}

// take is a free slot, 0 if there is no memory.
func take(tls *libc.TLS) uintptr {
	system.mu.Lock()
	defer system.mu.Unlock()
	if p := system.free; p != 0 {
		system.free = *capi.At[uintptr](p)
		return p
	}
	if system.left == 0 {
		if system.fresh = libc.Xmalloc(tls, slab); system.fresh == 0 {
			return 0
		}
		system.left = slab / slot
	}
	p := system.fresh
	system.fresh, system.left, system.used = p+slot, system.left-1, system.used+1
	return p
}

func free(tls *libc.TLS, p uintptr) {
	if p == 0 || !isPage(*size(p)) {
		capi.Function[freeFunc](system.base.FxFree)(tls, p)
		return
	}
	p -= prefix
	system.mu.Lock()
	defer system.mu.Unlock()
	*capi.At[uintptr](p), system.free = system.free, p
}

func realloc(tls *libc.TLS, p uintptr, n int32) uintptr {
	was := *size(p)
	if !isPage(n) && !isPage(was) {
		return capi.Function[reallocFunc](system.base.FxRealloc)(tls, p, n)
	}
	to := malloc(tls, n)
	if to == 0 {
		return 0
	}
	copy(unsafe.Slice(capi.At[byte](to), n), unsafe.Slice(capi.At[byte](p), was))
	free(tls, p)
	return to
}
