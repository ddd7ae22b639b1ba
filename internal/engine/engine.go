// Package engine is the story of one operation in one transaction: load a set, decide in memory, write a set.
package engine

import "errors"

// Errors of the store that the engine tells apart.
var (
	// ErrFenced says that another node holds the partition's lease by now.
	ErrFenced = errors.New("the partition's lease was lost")
	// ErrGap says that a frame does not follow the checkpoint.
	ErrGap = errors.New("frame does not follow the checkpoint")
)
