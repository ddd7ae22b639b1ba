// Package capi is how Go reaches what SQLite has as C: SQLite is used as a translation of its C to Go, in which a pointer is a number
// and a function is called by its address.
package capi

import "unsafe"

// At is what stands at an address of C's memory, which Go neither moves nor frees.
func At[T any](p uintptr) *T { return *(**T)(unsafe.Pointer(&p)) }

// Pointer is how C has a function that is declared at the top of a package; a closure would not stay where it is.
func Pointer[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&struct{ f F }{f})) }

// Function is the function that C has at an address.
func Function[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&struct{ uintptr }{p})) }
