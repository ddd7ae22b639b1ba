package server

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"rapport.example/internal/api"
	"rapport.example/internal/api/admin"
	"rapport.example/internal/api/app"
	"rapport.example/internal/api/openapi"
	"rapport.example/internal/api/pipelines"
	"rapport.example/internal/api/track"
	"rapport.example/internal/fault"
)

// APIs are what there is an OpenAPI document of.
var APIs = []string{"track", "app", "pipelines", "admin"}

// undescribed are served and in no document: files that are streamed in parts, which the program's own commands do, a restore, after which
// the server is another one, and what needs an agent's key with a scope of its own.
var undescribed = map[string]bool{
	"/admin/v1/restore": true, "/admin/v1/imports/{import_id}/parts/{part}": true, "/admin/v1/imports/{import_id}/finish": true,
	"/admin/v1/exports/{export_id}/file": true, "/agents/v1/audit": true, "/agents/v1/audit/batch": true,
}

// OpenAPI is the document of an API of this program, made of the tables that it serves from. base is the server's address.
func OpenAPI(name, base string) ([]byte, error) {
	a := openapi.API{Name: name}
	switch name {
	case "track":
		a.Title, a.About, a.Routes = "Rapport Track API", "Writes: people, events, devices, objects. A 200 says that a write is durable; it is applied shortly after.", track.Routes(track.Options{})
	case "app":
		a.Title, a.About, a.Routes = "Rapport App API", "Reads, and transactional mail. A read waits until the workspace's acknowledged writes are applied.", app.Routes(app.Options{})
	case "pipelines":
		a.Title, a.About, a.Routes = "Rapport Pipelines API", "What browser and mobile libraries send: identify, track, page, screen, group, alias.", pipelines.Routes(pipelines.Options{})
	case "admin":
		a.Title, a.About, a.Routes = "Rapport admin API", "For whoever runs the server, with an admin key. Errors are problem details (RFC 9457).", admin.New(admin.Options{}).Routes()
	default:
		return nil, fault.New(fault.NotFound, "there is no API %q: choose one of %s", name, strings.Join(APIs, ", "))
	}
	a.Routes = slices.DeleteFunc(a.Routes, func(r api.Route) bool { return r.Doc == app.NotBuilt || undescribed[r.Path] })
	return openapi.Document(a, buildVersion(), base)
}

// contracts are where the documents are, by the paths of their APIs.
func contracts() map[string]string {
	return map[string]string{
		"/api": "/openapi/track.json", "/v1": "/openapi/app.json", "/v1/batch": "/openapi/pipelines.json", "/admin/v1": "/openapi/admin.json",
	}
}

// describe serves the OpenAPI documents. They are made once: what is served does not change while the program runs.
func (s *server) describe(pages *http.ServeMux) error {
	for _, name := range APIs {
		doc, err := OpenAPI(name, s.base)
		if err != nil {
			return fmt.Errorf("describe the %s API: %w", name, err)
		}
		pages.HandleFunc("GET /openapi/"+name+".json", func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h.Set("Content-Type", "application/openapi+json")
			h.Set("Access-Control-Allow-Origin", "*")
			h.Set("Cache-Control", "public, max-age=300")
			_, _ = w.Write(doc) //nolint:errcheck // it only fails when the reader is gone
		})
	}
	return nil
}
