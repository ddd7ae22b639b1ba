package openapi

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"rapport.example/internal/api"
)

// failing are the statuses of errors that a route may answer, beside 429.
func failing(r *api.Route) []int {
	out := []int{http.StatusBadRequest, http.StatusServiceUnavailable}
	if r.Auth != api.Open || r.Shape == api.PipelineErrors {
		out = append(out, http.StatusUnauthorized)
	}
	if strings.Contains(r.Path, "{") {
		out = append(out, http.StatusNotFound)
	}
	if r.Method != http.MethodGet {
		out = append(out, http.StatusConflict, http.StatusUnprocessableEntity)
	}
	if r.MaxBody > 0 {
		out = append(out, http.StatusRequestEntityTooLarge)
	}
	return out
}

func responseName(status int) string {
	return strings.ReplaceAll(http.StatusText(status), " ", "")
}

func mediaOf(s api.Shape) string {
	if s == api.Problem {
		return "application/problem+json"
	}
	return "application/json"
}

// failures are the shared answers of errors.
func failures(name string) object {
	media, out := "application/json", object{}
	if name == "admin" {
		media = "application/problem+json"
	}
	for _, status := range []int{
		http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge,
		http.StatusUnprocessableEntity, http.StatusServiceUnavailable,
	} {
		out[responseName(status)] = failure(status, media)
	}
	return out
}

// failure is the answer of one status.
func failure(status int, media string) object {
	o := object{"description": http.StatusText(status), "content": object{media: object{"schema": object{"$ref": "#/components/schemas/Error"}}}}
	text := func(about string) object { return object{"description": about, "schema": object{"type": "string"}} }
	switch status {
	case http.StatusTooManyRequests:
		o["headers"] = object{
			"Retry-After": object{"description": "Seconds to wait.", "schema": object{"type": "integer", "minimum": 1}},
			"RateLimit":   text("What is left of the limit, and in how many seconds it is whole again."), "RateLimit-Policy": text("The limit."),
		}
	case http.StatusServiceUnavailable:
		o["headers"] = object{"Retry-After": object{"description": "Seconds to wait.", "schema": object{"type": "integer", "minimum": 1}}}
	case http.StatusUnauthorized:
		o["headers"] = object{"WWW-Authenticate": text("The kind of key that is asked for.")}
	}
	return o
}

// errorSchema is the envelope of an API's errors: any of its forms.
func errorSchema(name string) object {
	str, whole := object{"type": "string"}, object{"type": "integer"}
	of := func(required string, properties object) object {
		return object{"type": "object", "required": strings.Fields(required), "properties": properties}
	}
	list := func(item object) object { return object{"type": "array", "minItems": 1, "items": item} }
	meta := of("meta", object{"meta": of("error", object{"error": str, "status": whole})})
	metas := of("meta", object{"meta": of("errors", object{"errors": list(str)})})
	item := of("errors", object{"errors": list(of("reason field message", object{"batch_index": whole, "reason": str, "field": str, "message": str}))})
	app := of("errors", object{"errors": list(of("detail status", object{"detail": str, "status": str, "source": object{"type": "object"}})), "meta": object{"type": "object"}})
	switch name {
	case "admin":
		return of("type title status detail request_id", object{"type": str, "title": str, "status": whole, "detail": str, "field": str, "request_id": str})
	case "pipelines":
		return of("meta code message", object{"meta": metas["properties"].(object)["meta"], "code": str, "message": str})
	case "app":
		return object{"anyOf": []any{app, meta, metas}}
	}
	return object{"anyOf": []any{meta, metas, item}}
}

// abouts says what parameters of paths and of pages are.
var abouts = map[string]string{
	"limit": "The most entries of a page; larger numbers are cut to the most that there is.", "start": "Where the page begins: next of the page before; without it the first.",
	"customer_id": "A person, by what id_type says.", "identifier": "A person's id, email, or cio_id as cio_….",
}

// parameters are those of the path, those that the route declares of the query, the bounds of a list's page, and the key of a write.
func parameters(r *api.Route, e Example) []any {
	out := []any{}
	for i, name := range e.names {
		p := object{"name": name, "in": "path", "required": true, "schema": object{"type": "string", "maxLength": api.MostText}, "example": e.values[i]}
		if n, err := strconv.ParseInt(e.values[i], 10, 64); err == nil && strings.HasSuffix(name, "_id") && name != "customer_id" && name != "object_id" {
			p["schema"], p["example"] = object{"type": "integer", "minimum": 1}, n
		}
		if about := abouts[name]; about != "" {
			p["description"] = about
		}
		out = append(out, p)
	}
	for i := range r.Query {
		q := &r.Query[i]
		p := object{"name": q.Name, "in": "query", "required": q.Must, "schema": schemaOf(q), "description": q.About}
		if v, ok := e.asks(q.Name); ok {
			p["example"] = valueOf(q, v)
		}
		out = append(out, p)
	}
	if r.Page.Most > 0 {
		limit := int64(r.Page.Usual)
		if v, ok := e.asks("limit"); ok {
			if n, err := strconv.ParseInt(v, 10, 64); err == nil {
				limit = n
			}
		}
		schema := object{"type": "integer", "minimum": 1, "maximum": r.Page.Most, "default": r.Page.Usual}
		out = append(out, object{"name": "limit", "in": "query", "required": false, "schema": schema, "example": limit, "description": abouts["limit"]})
		if takes(r.Response, "next") {
			schema := object{"type": "string", "maxLength": api.MaxCursor}
			out = append(out, object{"name": "start", "in": "query", "required": false, "schema": schema, "description": abouts["start"]})
		}
	}
	if r.Method != http.MethodGet {
		out = append(out, object{"$ref": "#/components/parameters/IdempotencyKey"})
	}
	return out
}

// schemaOf is what a route holds a parameter to.
func schemaOf(p *api.Param) object {
	switch p.Kind {
	case api.WordParam:
		o := object{"type": "string", "enum": p.Words}
		if p.Usual != "" {
			o["default"] = p.Usual
		}
		return o
	case api.NumberParam:
		return object{"type": "integer", "minimum": p.Least, "maximum": p.Most}
	case api.BoolParam:
		return object{"type": "boolean", "default": false}
	case api.TextParam:
	}
	return object{"type": "string", "maxLength": p.Most}
}

// valueOf is an example's value as JSON has it.
func valueOf(p *api.Param, s string) any {
	if p.Kind == api.NumberParam || p.Kind == api.BoolParam {
		return json.RawMessage(s)
	}
	return s
}
