package pipelines

import (
	"maps"
	"slices"
)

// Semantic lists the event names that the vendor reserves for doing something.
func Semantic() []string { return slices.Sorted(maps.Keys(semantic)) }
