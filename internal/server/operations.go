package server

import (
	"io/fs"
	"net/http"
	"reflect"
	"slices"
	"strings"

	rapport "rapport.example"
	"rapport.example/internal/api"
	"rapport.example/internal/api/app"
	"rapport.example/internal/api/track"
	"rapport.example/internal/mcp"
)

// Operations are those of the Track and App APIs as their routes tell them, for the tools of agents. Those that clients of a person
// use, with no key of a workspace, are not among them.
func Operations() []mcp.Operation {
	var out []mcp.Operation
	for _, routes := range [][]api.Route{app.Routes(app.Options{}), track.Routes(track.Options{})} {
		for i := range routes {
			r := &routes[i]
			if r.Auth != api.AppKey && r.Auth != api.TrackKey || strings.HasPrefix(r.Path, "/v1/api/") || strings.HasPrefix(r.Path, "/api/v1/metrics") {
				continue
			}
			o := mcp.Operation{Method: r.Method, Path: r.Path, Track: r.Auth == api.TrackKey, Built: r.Doc != app.NotBuilt, Own: r.Own, Agent: r.Agent, Doc: r.Doc}
			if !o.Built {
				o.Doc = told(r.Method, r.Path)
			}
			if r.Request != nil {
				o.Fields = fieldsOf(reflect.TypeOf(r.Request))
			}
			out = append(out, o)
		}
	}
	return out
}

// told says what an operation does that only the hosted service has, by its method and the words of its path.
func told(method, path string) string {
	words := []string{map[string]string{http.MethodGet: "Reads", http.MethodPost: "Creates", http.MethodPut: "Changes", http.MethodDelete: "Deletes"}[method]}
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/v1/"), "/") {
		if !strings.HasPrefix(part, "{") {
			words = append(words, strings.ReplaceAll(part, "_", " "))
		}
	}
	return strings.Join(words, " ") + "."
}

// fieldsOf are the JSON names of a body's fields.
func fieldsOf(t reflect.Type) []string {
	out := []string{}
	if t.Kind() != reflect.Struct {
		return out
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			out = append(out, fieldsOf(f.Type)...)
		case name != "" && name != "-":
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Skills are how tasks are done here, as agents read them: NAME/SKILL.md.
func Skills() fs.FS {
	skills, err := fs.Sub(rapport.Skills, "skills")
	if err != nil {
		return nil // the name is ours
	}
	return skills
}

// Pages are the guides as agents read them: one Markdown file each.
func Pages() fs.FS {
	pages, err := fs.Sub(rapport.Docs, "docs")
	if err != nil {
		return nil // the name is ours
	}
	return pages
}
