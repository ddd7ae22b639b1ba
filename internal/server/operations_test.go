package server

import (
	"io/fs"
	"strings"
	"testing"
)

// TestOperations: every operation that agents are told of has a name of its own and a sentence; none is one that takes no key of a workspace.
func TestOperations(t *testing.T) {
	t.Parallel()
	ids := map[string]bool{}
	all := Operations()
	for i := range all {
		o := &all[i]
		if ids[o.ID()] || len(o.Doc) < 10 || !strings.HasSuffix(o.Doc, ".") || strings.Contains(o.Doc, "Not built") {
			t.Errorf("%s %s is %s: %q", o.Method, o.Path, o.ID(), o.Doc)
		}
		ids[o.ID()] = true
	}
	for id, want := range map[string]bool{
		"get_campaigns_by_campaign_id_metrics_links": true, "put_track_customers_by_identifier": true, "post_track_metrics": false, "post_unsubscribe_by_delivery_id": false,
		"post_api_campaigns_by_campaign_id_triggers": false,
	} {
		if ids[id] != want {
			t.Errorf("%s is told: %v", id, ids[id])
		}
	}
	if len(all) < 120 {
		t.Errorf("%d operations", len(all))
	}
	pages, err := fs.Glob(Pages(), "*.md")
	if err != nil || len(pages) < 10 {
		t.Errorf("pages %v, %v", pages, err)
	}
}
