// Package definition ties the documents that people write (workspace files, API bodies) to the compiled forms that the
// engine runs: segments, campaigns, messages, layouts and senders of one workspace at one generation.
package definition

import "rapport.example/internal/value"

// The definition kinds, which are also the keys of a workspace file.
const (
	Senders        = "senders"
	Layouts        = "layouts"
	Segments       = "segments"
	Campaigns      = "campaigns"
	Transactionals = "transactional"
	Topics         = "topics"
	Identifying    = "identifiers" // one row of the slug People: by what people are identified
)

// Kinds lists the kinds in the order of a workspace file, each after those that it refers to.
func Kinds() []string {
	return []string{Identifying, Senders, Layouts, Topics, Segments, Campaigns, Transactionals}
}

// Row is one version of one definition as it is kept.
type Row struct {
	Workspace int64
	Kind      string
	ID        int64 // numeric, given once per kind and slug and never reused
	Version   int64 // from 1
	Slug      string
	Body      value.Value // the document as in the workspace file, canonical JSON, with its "id"
	Gen       int64       // the workspace's generation when this version was saved
	Current   bool        // the newest version
	Deleted   bool        // the newest version says: gone
	Created   int64       // Unix ms, of the first version
	Updated   int64       // Unix ms, of this version
}
