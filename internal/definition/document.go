package definition

import (
	_ "embed" // the schema

	"rapport.example/internal/ingest"
)

// SchemaJSON is the published JSON Schema of a workspace file, for editors and for ParseFile.
//
//go:embed schema/workspace-1.json
var SchemaJSON []byte

// SchemaID is the address that workspace files name it by.
const SchemaID = "https://rapport.example/schema/workspace-1.json"

// MaxFile is the size of a workspace file in bytes.
const MaxFile = 4 << 20

// Document is a workspace file that was read: its definitions in document order, each in canonical JSON.
type Document struct {
	Schema      int    // the version of the schema, 1
	Workspace   string // the workspace's name
	Definitions []ingest.Definition

	name  string
	marks map[string]mark // where things stand in the file, by dotted path
}

// mark is a place in the file, from 1.
type mark struct{ line, column int }
