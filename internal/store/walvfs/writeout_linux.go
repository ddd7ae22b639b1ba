package walvfs

import (
	"syscall"

	lib "modernc.org/sqlite/lib"

	"rapport.example/internal/store/capi"
)

// writeOut has the system begin to write a stretch of a file to the disk, without waiting for that and without any promise: a sync
// still does the rest (sync_file_range(2)). An error says that it began nothing, as where a file system cannot. What goes wrong with the disk is told to
// the sync alone: only waiting, which this does not, would take that away from it.
func writeOut(f uintptr, from, size int64) {
	const begin = 2                                                                 // SYNC_FILE_RANGE_WRITE
	_ = syscall.SyncFileRange(int(capi.At[lib.TunixFile](f).Fh), from, size, begin) //nolint:errcheck // see above
}
