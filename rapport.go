// Package rapport holds what is embedded from the root of the tree.
package rapport

import "embed"

// Onboarding is the example workspace file, which the demo runs on.
//
//go:embed examples/onboarding.yaml
var Onboarding string

// Docs are the guides, docs/*.md.
//
//go:embed docs/*.md
var Docs embed.FS
