// Package rapport holds what is embedded from the root of the tree.
package rapport

import "embed"

// Onboarding is the example workspace file, which the demo runs on.
//
//go:embed examples/onboarding.yaml
var Onboarding string

// Docs are the guides, docs/*.md, the decisions in docs/adr, and the pictures that guides show.
//
//go:embed docs/*.md docs/adr/*.md docs/images/*.jpg
var Docs embed.FS

// Skills are how tasks are done with a server, for agents: skills/NAME/SKILL.md.
//
//go:embed skills/*/SKILL.md
var Skills embed.FS

// Server is server.json, by which MCP clients and registries know the server.
//
//go:embed server.json
var Server []byte
