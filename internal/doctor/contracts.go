package doctor

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func contracts() []check {
	return []check{
		{
			"api-catalog", "/.well-known/api-catalog", "RFC 9727: the list of the APIs that a host has.",
			"Serve application/linkset+json with service-desc links to the OpenAPI documents.", apiCatalog,
		},
		{"openapi", "OpenAPI 3.1", "An agent makes calls from it without a person who reads pages.", "Publish a document of version 3.1 for each API, and name it in the API catalogue.", openAPI},
		{"operation-ids", "Operation ids", "They are the names that an agent calls operations by.", "Give each operation an operationId of its own.", operationIDs},
		{
			"examples", "Examples", "A call that is copied is right the first time.",
			"Give each operation an example of what is sent, where something is, and of what is answered.", examples,
		},
		{"errors", "Errors in the contract", "Whoever handles errors must know their shape.", "Refer to one schema of errors, under components, from each operation.", errorSchemas},
		{"limits", "Limits in the contract", "An agent learns when to wait.", "Describe the answer 429 with its headers Retry-After or RateLimit.", limitAnswers},
		{
			"agentic", "x-agentic", "An agent tells reading from sending before it calls.",
			"Add x-agentic to each operation: its class (read, write, delete, send), whether it can be undone, has a dry run, and its scope.", agentic,
		},
		{"idempotency", "Idempotency-Key", "A call whose answer was lost can be made again.", "Take an Idempotency-Key header on writes, and say so in the contract.", idempotency},
	}
}

// spec is an OpenAPI document.
type spec struct {
	from       string
	OpenAPI    string                                `json:"openapi"`
	Paths      map[string]map[string]json.RawMessage `json:"paths"` // by path and method; other members of a path are left alone
	Components struct {
		Parameters map[string]parameter `json:"parameters"`
		Responses  map[string]response  `json:"responses"`
		Schemas    map[string]any       `json:"schemas"`
	} `json:"components"`
}

type (
	operation struct {
		name       string
		ID         string              `json:"operationId"`
		Parameters []parameter         `json:"parameters"`
		Body       *body               `json:"requestBody"`
		Responses  map[string]response `json:"responses"`
		Agentic    map[string]any      `json:"x-agentic"`
		Security   *[]map[string]any   `json:"security"`
	}
	parameter struct {
		Ref      string `json:"$ref"`
		Name     string `json:"name"`
		In       string `json:"in"`
		Required bool   `json:"required"`
	}
	body struct {
		Content map[string]media `json:"content"`
	}
	response struct {
		Ref     string           `json:"$ref"`
		Headers map[string]any   `json:"headers"`
		Content map[string]media `json:"content"`
	}
	media struct {
		Example  any            `json:"example"`
		Examples map[string]any `json:"examples"`
		Schema   map[string]any `json:"schema"`
	}
)

type linkset struct {
	Linkset []map[string]any `json:"linkset"`
}

// hrefs are the addresses of a relation.
func (s linkset) hrefs(relation string) (out []string) {
	for _, ctx := range s.Linkset {
		list, _ := ctx[relation].([]any) // anything else has none
		for _, one := range list {
			if m, ok := one.(map[string]any); ok {
				if h, ok := m["href"].(string); ok && h != "" {
					out = append(out, h)
				}
			}
		}
	}
	return out
}

func apiCatalog(l *look) finding {
	a := l.get("/.well-known/api-catalog", "application/linkset+json")
	var s linkset
	if why := a.decode(&s); why != "" {
		return bad(why)
	}
	descriptions := s.hrefs("service-desc")
	switch {
	case a.kind != "application/linkset+json":
		return bad("it is " + a.kind + ", not application/linkset+json")
	case len(descriptions) == 0:
		return bad("it has no service-desc link")
	}
	return ok(fmt.Sprintf("%d descriptions, %d documents", len(descriptions), len(s.hrefs("service-doc"))))
}

// usual are places where a document is looked for without a catalogue.
var usual = []string{"/openapi.json", "/openapi/v1.json", "/api/openapi.json"}

func openAPI(l *look) finding {
	var s linkset
	places := usual
	if l.get("/.well-known/api-catalog", "application/linkset+json").decode(&s) == "" && len(s.hrefs("service-desc")) > 0 {
		places = s.hrefs("service-desc")
	}
	var wrong []string
	for _, place := range places {
		d := spec{from: place}
		switch why := l.get(place, "application/json").decode(&d); {
		case why != "":
			wrong = append(wrong, why)
		case !strings.HasPrefix(d.OpenAPI, "3.1"):
			wrong = append(wrong, fmt.Sprintf("%s is of version %q", place, d.OpenAPI))
		default:
			l.specs = append(l.specs, d)
		}
	}
	if len(l.specs) == 0 || len(wrong) > 0 && len(places) != len(usual) {
		return bad(strings.Join(wrong, "; "))
	}
	return ok(fmt.Sprintf("%d documents, %d operations", len(l.specs), len(l.operations())))
}

var methods = []string{"get", "put", "post", "delete", "patch"}

// operations are those of all documents, in order.
func (l *look) operations() (out []*operation) {
	for i := range l.specs {
		for _, path := range slices.Sorted(maps.Keys(l.specs[i].Paths)) {
			for _, method := range methods {
				var o operation
				doc, there := l.specs[i].Paths[path][method]
				if !there || json.Unmarshal(doc, &o) != nil { // what cannot be read has no id and no examples
					o = operation{}
				}
				if !there {
					continue
				}
				o.name = strings.ToUpper(method) + " " + path
				for n, p := range o.Parameters {
					if name, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
						o.Parameters[n] = l.specs[i].Components.Parameters[name]
					}
				}
				for code, r := range o.Responses {
					if name, ok := strings.CutPrefix(r.Ref, "#/components/responses/"); ok {
						o.Responses[code] = l.specs[i].Components.Responses[name]
					}
				}
				out = append(out, &o)
			}
		}
	}
	return out
}

// each holds every operation to a rule, and names those that break it.
func (l *look) each(what string, keeps func(*operation) bool) finding {
	all := l.operations()
	if len(all) == 0 {
		return skip("there is no OpenAPI document")
	}
	var breaks []string
	for _, o := range all {
		if !keeps(o) {
			breaks = append(breaks, o.name)
		}
	}
	if len(breaks) > 0 {
		return bad(fmt.Sprintf("%d of %d operations %s: %s", len(breaks), len(all), what, some(breaks)))
	}
	return ok(fmt.Sprintf("all %d operations", len(all)))
}

// some are the first of a list.
func some(list []string) string {
	const most = 3
	if len(list) > most {
		return strings.Join(list[:most], ", ") + ", …"
	}
	return strings.Join(list, ", ")
}

func operationIDs(l *look) finding {
	seen := map[string]bool{}
	return l.each("have no operationId of their own", func(o *operation) bool {
		first := o.ID != "" && !seen[o.ID]
		seen[o.ID] = true
		return first
	})
}

func shown(content map[string]media) bool {
	for _, m := range content {
		if m.Example == nil && len(m.Examples) == 0 && m.Schema["examples"] == nil && m.Schema["example"] == nil {
			return false
		}
	}
	return true
}

func examples(l *look) finding {
	return l.each("lack an example", func(o *operation) bool {
		answered := false
		for code, r := range o.Responses {
			answered = answered || code[:1] == "2" && shown(r.Content)
		}
		return answered && (o.Body == nil || shown(o.Body.Content))
	})
}

func errorSchemas(l *look) finding {
	return l.each("describe no error by a shared schema", func(o *operation) bool {
		for code, r := range o.Responses {
			for _, m := range r.Content {
				if _, shared := m.Schema["$ref"]; shared && (code[:1] == "4" || code == "default") {
					return true
				}
			}
		}
		return false
	})
}

func limitAnswers(l *look) finding {
	return l.each("do not describe 429 with headers", func(o *operation) bool {
		if o.Security != nil && len(*o.Security) == 0 {
			return true // open to everybody, like a document
		}
		return len(o.Responses[strconv.Itoa(http.StatusTooManyRequests)].Headers) > 0
	})
}

func agentic(l *look) finding {
	return l.each("have no x-agentic with a class", func(o *operation) bool {
		for _, key := range [...]string{"class", "action", "action_class"} {
			if s, ok := o.Agentic[key].(string); ok && s != "" {
				return true
			}
		}
		return false
	})
}

func idempotency(l *look) finding {
	if len(l.operations()) == 0 {
		return skip("there is no OpenAPI document")
	}
	n := 0
	for _, o := range l.operations() {
		for _, p := range o.Parameters {
			if p.In == "header" && strings.EqualFold(p.Name, "Idempotency-Key") {
				n++
			}
		}
	}
	if n == 0 {
		return bad("no operation takes the header")
	}
	return ok(fmt.Sprintf("%d operations take it", n))
}
