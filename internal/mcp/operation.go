package mcp

import (
	"net/http"
	"strings"

	"rapport.example/internal/workspace"
)

// Operation is one operation of the Track or App API, as the routes of the server tell it.
type Operation struct {
	Method string
	Path   string   // with {parameters}
	Track  bool     // of the Track API, else of the App API
	Built  bool     // a Rapport server has it
	Own    bool     // the hosted service has it not; all others it has
	Agent  string   // the scope by which an agent key may use it on a Rapport server; "" = none may
	Doc    string   // what it does, in a sentence
	Fields []string // of its body; nil = it takes none
}

// The tools that carry out operations which have none of their own.
const (
	readTool  = "call_read_operation"
	writeTool = "call_write_operation"
	noTool    = "none"
)

// ID names the operation: its method and the words of its path, like get_segments_by_segment_id_membership.
func (o *Operation) ID() string {
	var words []string
	for part := range strings.SplitSeq(strings.Trim(o.Path, "/"), "/") {
		switch {
		case part == "v1" || part == "api":
		case strings.HasPrefix(part, "{"):
			words = append(words, "by_"+strings.Trim(part, "{}"))
		default:
			words = append(words, part)
		}
	}
	if o.Track {
		words = append([]string{"track"}, words...)
	}
	return strings.ToLower(o.Method) + "_" + strings.ReplaceAll(strings.Join(words, "_"), "-", "_")
}

// searches are the reads that are POSTs.
var searches = map[string]bool{"POST /v1/customers": true, "POST /v1/customers/attributes": true, "POST /v1/objects": true}

// through are the writes that the general tool may carry out, with the scope that each takes; what is not here has a tool of its
// own, or none. It is a list of what may be done and not of what may not, so that an operation that is new is refused.
var through = map[string]string{
	"POST /v1/data_index/attributes":                  workspace.Configure,
	"POST /v1/data_index/events":                      workspace.Configure,
	"PUT /v1/customers/{customer_id}/optouts":         workspace.WriteLive,
	"PUT /api/v1/customers/{identifier}/devices":      workspace.WriteScope,
	"POST /api/v1/events":                             workspace.WriteScope,
	"POST /api/v1/forms/{form_id}/submit":             workspace.WriteScope,
	"POST /v1/collections":                            workspace.WriteLive,
	"PUT /v1/collections/{collection_id}":             workspace.WriteLive,
	"POST /v1/snippets":                               workspace.WriteLive,
	"PUT /v1/snippets":                                workspace.WriteLive,
	"POST /v1/design_studio/folders":                  workspace.WriteScope,
	"PUT /v1/design_studio/folders/{id}":              workspace.WriteScope,
	"POST /v1/design_studio/emails":                   workspace.WriteScope,
	"PUT /v1/design_studio/emails/{id}":               workspace.WriteScope,
	"POST /v1/design_studio/components":               workspace.WriteScope,
	"PUT /v1/design_studio/components/{id}":           workspace.WriteScope,
	"PUT /v1/collections/{collection_id}/content":     "", // takes the URL of a document
	"GET /v1/subscription_center/{customer_id}/token": "", // makes a link that lets its holder choose for a person
	"GET /v1/exports/{export_id}/download":            workspace.ReadSensitive,
	"GET /v1/messages/{message_id}/archived_message":  workspace.ReadSensitive,
	"GET /v1/esp/search_suppression/{email}":          workspace.ReadSensitive,
	"GET /v1/esp/suppression/{type}":                  workspace.ReadSensitive,
	"GET /v1/esp/domains/{domain}/suppression/{type}": workspace.ReadSensitive,
	"GET /v1/design_studio/emails/{id}":               workspace.Read,
	"GET /v1/design_studio/components/{id}":           workspace.Read,
	"GET /v1/live_notifications/{instance_id}":        "",
}

// instead are the tools for what the general ones refuse.
var instead = map[string]string{
	"PUT /api/v1/customers/{identifier}":                             "upsert_person, or set_subscription",
	"POST /api/v1/customers/{identifier}/events":                     "track_event",
	"DELETE /api/v1/customers/{identifier}":                          "remove_person",
	"POST /api/v1/customers/{identifier}/suppress":                   "remove_person",
	"POST /api/v1/customers/{identifier}/unsuppress":                 "remove_person",
	"POST /api/v1/merge_customers":                                   "merge_people",
	"POST /api/v2/entity":                                            "batch_people",
	"POST /api/v2/batch":                                             "batch_people",
	"POST /v1/segments":                                              "create_segment",
	"DELETE /v1/segments/{segment_id}":                               "delete_segment",
	"POST /api/v1/segments/{segment_id}/add_customers":               "update_segment_members",
	"POST /api/v1/segments/{segment_id}/remove_customers":            "update_segment_members",
	"POST /v1/segments/preview":                                      "preview_audience",
	"GET /v1/customers/{customer_id}/segments/{segment_id}":          "explain_membership",
	"PUT /v1/campaigns/{campaign_id}/actions/{action_id}":            "save_content",
	"PUT /v1/broadcasts/{broadcast_id}/actions/{action_id}":          "save_content",
	"PUT /v1/transactional/{transactional_id}/content/{content_id}":  "save_content",
	"PUT /v1/transactional/{transactional_id}/contents/{content_id}": "save_content",
}

// use is the tool that carries the operation out and the scope it takes there; noTool if none does.
func (o *Operation) use() (tool, scope string) {
	key := o.Method + " " + o.Path
	if tool, ok := instead[strings.TrimSuffix(key, "/language/{language}")]; ok {
		return tool, ""
	}
	scope, listed := through[key]
	switch reads := o.Method == http.MethodGet || searches[key]; {
	case listed && scope == "", sends(o.Path):
		return noTool, ""
	case reads && !listed:
		return readTool, workspace.Read
	case reads:
		return readTool, scope
	case listed:
		return writeTool, scope
	}
	return noTool, ""
}

// sends tells whether a path belongs to what reaches people at once. No tool has a route there, not even to read.
func sends(path string) bool {
	path = strings.TrimPrefix(path, "/v1")
	path = strings.TrimPrefix(path, "/api")
	return strings.HasPrefix(path, "/send/") || strings.HasPrefix(path, "/newsletters") || strings.Contains(path, "/triggers") || strings.HasPrefix(path, "/live_notifications")
}

// offers are the operations of this connection: of the hosted service all that are not our own, of a Rapport server those that it has and that agents may use.
func (s *Server) operations() []*Operation {
	var out []*Operation
	for i := range s.o.Operations {
		o := &s.o.Operations[i]
		byHand := o.Agent != "" || !o.Track && o.Method == http.MethodGet
		if s.o.Hosted != nil && !o.Own || s.o.Hosted == nil && o.Built && byHand {
			out = append(out, o)
		}
	}
	return out
}
