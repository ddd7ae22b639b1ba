package walvfs

import (
	"syscall"

	lib "modernc.org/sqlite/lib"

	"rapport.example/internal/store/capi"
)

// writeOut has the system begin to write a stretch of a file to the disk, without waiting for that and without any promise: a sync
// still does the rest (sync_file_range(2)). An error means that it did nothing, and shows at the sync if it is one of the disk's.
func writeOut(f uintptr, from, size int64) {
	const begin = 2                                                                 // SYNC_FILE_RANGE_WRITE
	_ = syscall.SyncFileRange(int(capi.At[lib.TunixFile](f).Fh), from, size, begin) //nolint:errcheck // see above
}
