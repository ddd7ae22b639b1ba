// Package openapi makes OpenAPI 3.1 documents of the route tables that the server serves from. What a table does not say is in
// examples/*.txt: the operation's id, and a request with the answer that a real server gave. A route without an example, and an
// example without a route, are errors.
package openapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"rapport.example/internal/api"
	"rapport.example/internal/workspace"
)

// API is one document to be.
type API struct {
	Name   string // track, app, pipelines or admin; that of the file of examples, too
	Title  string
	About  string
	Routes []api.Route // that are served; those that answer 501 are left out by the caller
}

type object = map[string]any

// Document is the OpenAPI document of an API, as JSON with its members in order. version is that of the server, and base its address.
func Document(a API, version, base string) ([]byte, error) {
	examples, err := Examples(a.Name)
	if err != nil {
		return nil, err
	}
	byRoute := map[string]Example{}
	for _, e := range examples {
		byRoute[e.Method+" "+e.Path] = e
	}
	s := schemas{made: object{}, names: map[reflect.Type]string{}}
	// What the admin API can do without is not said by its types, which serve the command line, too.
	sent := schemas{made: s.made, names: map[reflect.Type]string{}, loose: a.Name == "admin"}
	if !sent.loose {
		sent.names = s.names
	}
	paths := object{}
	for i := range a.Routes {
		r := &a.Routes[i]
		e, ok := byRoute[r.Method+" "+r.Path]
		if !ok {
			return nil, fmt.Errorf("%s %s has no example in %s.txt", r.Method, r.Path, a.Name)
		}
		delete(byRoute, r.Method+" "+r.Path)
		if name := e.undeclared(r); name != "" {
			return nil, fmt.Errorf("the example of %s %s has the parameter %s, which the route does not declare", r.Method, r.Path, name)
		}
		if paths[r.Path] == nil {
			paths[r.Path] = object{}
		}
		paths[r.Path].(object)[strings.ToLower(r.Method)] = operation(&s, &sent, r, e)
	}
	for route := range byRoute {
		return nil, fmt.Errorf("the example of %s is of no route", route)
	}
	s.made["Error"] = errorSchema(a.Name)
	return json.MarshalIndent(object{
		"openapi": "3.1.0", "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
		"info":    object{"title": a.Title, "version": version, "description": a.About},
		"servers": []any{object{"url": base}}, "paths": paths,
		"components": object{
			"schemas": s.made, "responses": failures(a.Name), "securitySchemes": keys(),
			"parameters": object{"IdempotencyKey": object{
				"name": "Idempotency-Key", "in": "header", "schema": object{"type": "string", "minLength": 1, "maxLength": 255}, "example": "order-7-paid",
				"description": "A request sent again under its key within 24 hours has no second effect and gets the same answer; another request under it is answered 422.",
			}},
		},
	}, "", " ")
}

// operation describes a route.
func operation(s, sent *schemas, r *api.Route, e Example) object {
	o := object{
		"operationId": e.ID, "summary": r.Doc, "tags": []string{tag(r.Path)}, "security": security(r.Auth), "x-agentic": agentic(r),
		"parameters": parameters(r, e),
	}
	if e.Body != nil {
		content := object{"schema": object{}, "example": e.Body}
		if r.Request != nil {
			content["schema"] = sent.of(reflect.TypeOf(r.Request))
		}
		o["requestBody"] = object{"required": true, "content": object{"application/json": content}}
	}
	done := object{"description": http.StatusText(e.Status), "headers": object{"X-Request-Id": object{"description": "Names this request in the server's log.", "schema": object{"type": "string"}}}}
	switch {
	case e.Answer != nil:
		content := object{"schema": object{}, "example": e.Answer}
		if r.Response != nil {
			content["schema"] = s.of(reflect.TypeOf(r.Response))
		}
		done["content"] = object{"application/json": content}
	case e.Type != "":
		done["content"] = object{e.Type: object{"schema": object{"type": "string"}, "example": "…"}}
	}
	answers := object{strconv.Itoa(e.Status): done}
	for _, status := range failing(r) {
		answers[strconv.Itoa(status)] = object{"$ref": "#/components/responses/" + responseName(status)}
	}
	// Written out, not referred to, for readers that follow no references to headers.
	answers["429"] = failure(http.StatusTooManyRequests, mediaOf(r.Shape))
	o["responses"] = answers
	return o
}

// tag is the first word of a path that tells operations apart.
func tag(path string) string {
	for part := range strings.SplitSeq(path, "/") {
		switch part {
		case "", "api", "v1", "v2", "admin":
		default:
			return part
		}
	}
	return "root"
}

// agentic is what an agent has to know before it calls.
func agentic(r *api.Route) object {
	class := "write"
	switch last := r.Path[strings.LastIndexByte(r.Path, '/')+1:]; {
	case r.Limit == api.LimitSend:
		class = "send"
	case r.Method == http.MethodGet || r.AppScope() == workspace.Read || last == "preview":
		class = "read"
	case r.Method == http.MethodDelete || last == "suppress" || last == "merge_customers" || last == "restore":
		class = "delete"
	}
	scope := r.Agent
	if scope == "" && r.Auth == api.AppKey && class == "read" {
		scope = workspace.Read
	}
	o := object{"class": class, "reversible": class == "read", "dry_run": takes(r.Request, "dry_run") || declares(r, "dry_run")}
	if scope != "" {
		o["scope"] = scope
	}
	return o
}

// takes tells whether a body has a member.
func takes(body any, member string) bool {
	t := reflect.TypeOf(body)
	if t == nil || t.Kind() != reflect.Struct {
		return false
	}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name == member {
			return true
		}
	}
	return false
}

// declares tells whether a route has a parameter of the query.
func declares(r *api.Route, name string) bool {
	return slices.ContainsFunc(r.Query, func(p api.Param) bool { return p.Name == name })
}

// asks is the value of a parameter of the query; ok is false if there is none.
func (e *Example) asks(name string) (v string, ok bool) {
	for _, q := range e.query {
		if q[0] == name {
			return q[1], true
		}
	}
	return "", false
}

// undeclared is a parameter of the example's query that the route does not know, "" if there is none.
func (e *Example) undeclared(r *api.Route) string {
	for _, q := range e.query {
		if !declares(r, q[0]) && (r.Page.Most == 0 || q[0] != "limit") {
			return q[0]
		}
	}
	return ""
}

// keys are the kinds of keys.
func keys() object {
	return object{
		"trackKey": object{"type": "http", "scheme": "basic", "description": "The site id as user name and the API key as password."},
		"agentKey": object{"type": "http", "scheme": "bearer", "description": "An agent key, agk_…, for operations that have a scope in x-agentic."},
		"appKey":   object{"type": "http", "scheme": "bearer", "description": "An App API key."},
		"adminKey": object{"type": "http", "scheme": "bearer", "description": "An operator's key."},
		"writeKey": object{"type": "http", "scheme": "basic", "description": "The write key as user name, without a password."},
	}
}

func security(a api.Auth) []any {
	switch a {
	case api.Open:
	case api.TrackKey:
		return []any{object{"trackKey": []string{}}, object{"agentKey": []string{}}}
	case api.AppKey:
		return []any{object{"appKey": []string{}}, object{"agentKey": []string{}}}
	case api.AdminKey:
		return []any{object{"adminKey": []string{}}}
	case api.AgentKey:
		return []any{object{"agentKey": []string{}}}
	case api.WriteKey:
		return []any{object{"writeKey": []string{}}}
	}
	return []any{}
}
