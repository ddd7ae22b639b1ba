package server_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"rapport.example/internal/server"
)

// TestAgenticDryRun walks the documents of all APIs: an operation says that it can be tried without effect if its body or its query
// has a dry_run to ask for that, and else not.
func TestAgenticDryRun(t *testing.T) {
	t.Parallel()
	type body struct {
		Content map[string]struct {
			Schema struct {
				Ref        string         `json:"$ref"`
				Properties map[string]any `json:"properties"`
			} `json:"schema"`
		} `json:"content"`
	}
	var can []string
	for _, name := range server.APIs {
		text, err := server.OpenAPI(name, "https://rapport.test")
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Paths map[string]map[string]struct {
				Agentic     map[string]any `json:"x-agentic"`
				RequestBody body           `json:"requestBody"`
				Parameters  []struct {
					Name string `json:"name"`
				} `json:"parameters"`
			} `json:"paths"`
			Components struct {
				Schemas map[string]struct {
					Properties map[string]any `json:"properties"`
				} `json:"schemas"`
			} `json:"components"`
		}
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		for path, methods := range doc.Paths {
			for method, o := range methods {
				takes := false
				for _, c := range o.RequestBody.Content {
					of := c.Schema.Properties
					if c.Schema.Ref != "" {
						of = doc.Components.Schemas[c.Schema.Ref[strings.LastIndexByte(c.Schema.Ref, '/')+1:]].Properties
					}
					takes = takes || of["dry_run"] != nil
				}
				for _, p := range o.Parameters {
					takes = takes || p.Name == "dry_run"
				}
				says, told := o.Agentic["dry_run"].(bool)
				if !told || says != takes {
					t.Errorf("%s %s says dry_run %v, and takes it: %v", method, path, o.Agentic["dry_run"], takes)
				}
				if takes {
					can = append(can, method+" "+path)
				}
			}
		}
	}
	want := []string{
		"delete /admin/v1/segments/{segment}", "post /admin/v1/apply", "post /admin/v1/segments", "post /admin/v1/segments/{segment}/archive",
		"put /admin/v1/segments/{segment}",
	}
	if slices.Sort(can); !slices.Equal(can, want) {
		t.Errorf("these take dry_run: %v", can)
	}
}
