package catalog

import (
	"fmt"
	"slices"
	"strings"
)

// OwnFacts are what a running server, or the program alone, knows about itself. Nothing in them was written for the guide.
type OwnFacts struct {
	Base    string // origin under which it is reached
	Version string
	Day     string // on which it was asked
	Routes  []OwnRoute
	Tools   []OwnTool
	Scopes  []string    // of agent keys
	Audit   bool        // what agents do is recorded, and operators read it
	Limits  []RateLimit // without facts
	// Served says for some paths whether a GET without a key is answered 200. nil = no server was asked.
	Served map[string]bool
}

// OwnRoute is an endpoint as its table declares it.
type OwnRoute struct {
	API, Method, Path, Purpose string
	Shape                      string // of its errors
	Built                      bool   // it does not answer 501
}

// OwnTool is an MCP tool as it is offered.
type OwnTool struct {
	Name                             string
	ReadOnly, Strict, Output, DryRun bool // Strict: refuses unknown fields
}

// OwnPaths are what a server is asked for to fill OwnFacts.Served.
func OwnPaths() []string {
	return []string{
		"/llms.txt", "/openapi/track.json", "/openapi/app.json", "/.well-known/api-catalog",
		"/.well-known/oauth-protected-resource", "/.well-known/mcp/server-card.json", "/.well-known/agent-skills/index.json",
	}
}

// own builds the entry of the product that carries the guide.
type own struct {
	OwnFacts
	s *Service
}

// Own is the entry of Rapport itself, made from what the server says about itself and from its documentation. It goes through
// the same scores as every other. What was asked of a running server is E2, what its documentation says E1.
func Own(f OwnFacts) Service {
	s := Service{
		ID: OwnID, Name: "Rapport", Aliases: []string{"rapport mcp"}, Category: "marketing-automation", Own: true,
		Summary:  "Customer messaging on your own server that speaks Customer.io's wire protocols: people, events, segments, campaigns, email, with an MCP server inside.",
		Tasks:    []string{"identify a person and set attributes", "track an event that starts a campaign", "send a transactional email", "read campaigns, segments and deliveries", "find out why a person got a message"},
		Homepage: "https://rapport.example", Docs: f.Base + "/llms.txt", Licence: "see LICENSE", UpdatedAt: f.Day,
	}
	o := own{f, &s}
	o.ways()
	o.guide()
	o.shown()
	o.documented()
	return s
}

const docs = "rapport:docs/"

// asked notes what the server was asked, at E2, or what the program declares, at E1.
func (o *own) asked(key, value, path string, passes, fails []string) {
	f := Fact{Key: key, Value: value, Source: o.Base + path, CheckedAt: o.Day, Evidence: Read, Passes: passes, Fails: fails}
	if o.Served != nil {
		f.Evidence = Probed
	}
	o.s.Facts = append(o.s.Facts, f)
}

// says notes what the documentation says.
func (o *own) says(key, value, file string, passes, fails []string) {
	o.s.Facts = append(o.s.Facts, Fact{Key: key, Value: value, Source: docs + file, CheckedAt: o.Day, Evidence: Read, Passes: passes, Fails: fails})
}

// either notes a check that the server decides by what it has.
func (o *own) either(ok bool, key, yes, no, path string, checks ...string) {
	if ok {
		o.asked(key, yes, path, checks, nil)
		return
	}
	o.asked(key, no, path, nil, checks)
}

func (o *own) ways() {
	o.s.MCP = []MCP{{
		Kind: "official", URL: o.Base + "/mcp", Command: "rapport mcp --server " + o.Base, Transports: []string{"http", "stdio"},
		Auth: "Bearer agent key (agk_…)", Tools: len(o.Tools), Scopes: o.Scopes, Fact: "mcp",
	}}
	limits := make([]RateLimit, len(o.Limits))
	for i, l := range o.Limits {
		limits[i] = l
		limits[i].Fact = "limits"
	}
	by := func(class string) []RateLimit {
		var out []RateLimit
		for _, l := range limits {
			if l.Class == class {
				out = append(out, l)
			}
		}
		return out
	}
	at := func(path string) map[string]string { return map[string]string{"default": o.Base + path} }
	once := "Idempotency-Key on every write, known for 24 hours; an event's own id (a ULID) for 30 days."
	o.s.APIs = []API{
		{
			Name: "Track", BaseURLs: at("/api/v1/"), Versions: []string{"v1", "v2"}, Auth: []string{"Basic site_id:api_key", "Bearer agent key"},
			ContentType: []string{"application/json"}, RateLimits: by("Track"), ErrorFormat: o.shapes("Track"), Idempotency: once, Facts: []string{"routes", "idempotency"},
		},
		{
			Name: "App", BaseURLs: at("/v1"), Versions: []string{"v1"}, Auth: []string{"Bearer App key", "Bearer agent key, to read"}, ContentType: []string{"application/json"},
			Pagination: []string{"start and next"}, RateLimits: append(by("App"), by("Send")...), ErrorFormat: o.shapes("App"), Idempotency: once, Facts: []string{"routes", "pagination", "idempotency"},
		},
		{
			Name: "Pipelines", BaseURLs: at("/v1"), Versions: []string{"v1"}, Auth: []string{"Basic write key"}, ContentType: []string{"application/json"},
			RateLimits: by("Pipelines"), ErrorFormat: o.shapes("Pipelines"), Idempotency: once, Facts: []string{"routes"},
		},
	}
	for _, r := range o.Routes {
		if r.Built {
			o.s.Endpoints = append(o.s.Endpoints, Endpoint{API: r.API, Method: r.Method, Path: r.Path, Purpose: r.Purpose, Fact: "routes"})
		}
	}
}

// shapes lists the shapes of an API's errors.
func (o *own) shapes(api string) []string {
	var out []string
	for _, r := range o.Routes {
		if r.API == api && r.Built {
			out = append(out, r.Shape)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (o *own) guide() {
	note := func(text string, facts ...string) Note { return Note{text, facts} }
	o.s.Guide = Guide{
		Setup: []Note{
			note("Start a server: rapport serve. The first start prints a Track key, an App key, an agent key and an admin key, once.", "keys"),
			note("For an agent, make a key of its own that expires: rapport keys create --kind agent --scopes read --expires-in 90d.", "keys", "scopes"),
			note("Point the agent at "+o.Base+"/mcp with that key as Bearer token, or let it start rapport mcp.", "mcp", "transports"),
		},
		Pitfalls: []Note{
			note("A 200 of the Track API says that a write is durable, not that it is applied; a read of the App API waits for it.", "routes"),
			note("App keys do not open the MCP endpoint, and agent keys cannot send, delete or suppress.", "scopes"),
			note("Setting an attribute or recording an event can start a campaign, which sends mail: try dry_run first.", "dry_run"),
		},
		Tips: []Note{note("rapport why PERSON tells every decision about a person, and so why a mail was not sent.", "why")},
		Quickstart: []Code{
			{Lang: "curl", Fact: "routes", Code: fmt.Sprintf("curl -X PUT %s/api/v1/customers/user123 \\\n  -u \"$SITE_ID:$API_KEY\" -H 'Content-Type: application/json' \\\n  -d '{\"email\":\"user@example.com\",\"first_name\":\"John\"}'\n", o.Base)},
			{Lang: "go", Fact: "routes", Code: fmt.Sprintf("client := customerio.NewTrackClient(siteID, apiKey, customerio.WithURL(%q))\nerr := client.Identify(\"user123\", map[string]any{\"email\": \"user@example.com\"})\n", o.Base)},
			{Lang: "node", Fact: "routes", Code: fmt.Sprintf("import { TrackClient } from \"customerio-node\";\nconst cio = new TrackClient(siteId, apiKey, { url: %q });\nawait cio.identify(\"user123\", { email: \"user@example.com\" });\n", o.Base+"/api/v1")},
			{Lang: "python", Fact: "routes", Code: fmt.Sprintf("import requests\nrequests.put(\"%s/api/v1/customers/user123\", auth=(site_id, api_key),\n             json={\"email\": \"user@example.com\"}, timeout=10).raise_for_status()\n", o.Base)},
			{Lang: "mcp", Fact: "mcp", Code: fmt.Sprintf("{\"mcpServers\": {\"rapport\": {\"type\": \"http\", \"url\": \"%s/mcp\", \"headers\": {\"Authorization\": \"Bearer agk_…\"}}}}\n", o.Base)},
		},
	}
}

// shown is what the server says of itself: its tables, its tools, its limits, and what it serves.
func (o *own) shown() {
	built := 0
	for _, r := range o.Routes {
		if r.Built {
			built++
		}
	}
	o.either(built > 0, "routes", fmt.Sprintf("%d operations are built, in version %s", built, o.Version), "no operation is built", "/llms.txt", "access.public_api")
	var names []string
	strict, outputs, dry := len(o.Tools) > 0, len(o.Tools) > 0, len(o.Tools) > 0
	for _, t := range o.Tools {
		names = append(names, t.Name)
		strict, outputs = strict && t.Strict, outputs && t.Output
		dry = dry && (t.ReadOnly || t.DryRun)
	}
	o.asked("mcp", fmt.Sprintf("The MCP server offers %d tools: %s", len(names), strings.Join(names, ", ")), "/mcp", []string{"access.official_mcp"}, nil)
	o.either(strict, "tools.inputs", "Every tool refuses unknown fields.", "Not every tool refuses unknown fields.", "/mcp", "contract.tool_inputs")
	o.either(outputs, "tools.outputs", "Every tool has an output schema.", "Not every tool has an output schema.", "/mcp", "contract.tool_outputs")
	o.either(dry, "dry_run", "Every tool that writes has dry_run.", "Not every tool that writes has dry_run.", "/mcp", "safety.dry_run")
	var limits []string
	for _, l := range o.Limits {
		limits = append(limits, l.Class+" "+l.Limit)
	}
	if len(limits) > 0 {
		o.asked("limits", "Limits of this server: "+strings.Join(limits, ", "), "/llms.txt", []string{"runtime.limits"}, nil)
	} else {
		o.asked("limits", "The limits are switched off on this server.", "/llms.txt", []string{"runtime.limits"}, nil)
	}
	shapes := append(o.shapes("Track"), o.shapes("App")...)
	slices.Sort(shapes)
	shapes = slices.Compact(shapes)
	o.either(len(shapes) == 1, "errors", "Errors have one shape.", "Errors keep the vendor's shapes, which depend on the endpoint: "+strings.Join(shapes, ", "), "/llms.txt", "runtime.errors")
	o.either(o.Audit, "audit", "Operators read what agents did at /admin/v1/audit.", "There is no audit log of what agents did.", "/admin/v1/audit", "safety.audit")
	if o.Served == nil {
		return
	}
	serves := func(key, path, what string, checks ...string) {
		o.either(o.Served[path], key, what+" is served.", what+" is not there yet.", path, checks...)
	}
	serves("llms", "/llms.txt", "llms.txt", "discovery.llms")
	o.either(o.Served["/openapi/track.json"] && o.Served["/openapi/app.json"], "openapi", "OpenAPI documents are served.", "OpenAPI documents are not there yet.", "/openapi/track.json", "contract.openapi", "contract.examples")
	serves("api_catalog", "/.well-known/api-catalog", "The API catalogue of RFC 9727", "discovery.api_catalog")
	serves("oauth", "/.well-known/oauth-protected-resource", "OAuth metadata of RFC 9728", "auth.oauth_metadata")
	serves("card", "/.well-known/mcp/server-card.json", "An MCP server card", "discovery.registry")
	serves("skills", "/.well-known/agent-skills/index.json", "An index of agent skills", "discovery.skills")
}

// documented is what no table tells.
func (o *own) documented() {
	o.says("transports", "MCP over Streamable HTTP at /mcp, and over stdio with rapport mcp", "agents.md", []string{"access.two_transports"}, nil)
	o.says("keys", "Whoever runs the server makes keys with rapport keys create, lists them, and revokes them at once.", "operating.md", []string{"access.self_service_key", "auth.steps", "auth.revoke"}, nil)
	o.says("scopes", "Agent keys have scopes ("+strings.Join(o.Scopes, ", ")+") and may expire; with read alone they only look.", "agents.md", []string{"auth.scoped", "safety.read_only"}, nil)
	o.says("cli", "The command rapport; every client library of Customer.io works with another base URL.", "track-and-app.md", []string{"access.package"}, nil)
	o.says("hosts", "One server, one address; the region that it answers is a setting.", "operating.md", []string{"auth.hosts"}, nil)
	o.says("webhooks", "There are no reporting webhooks yet.", "track-and-app.md", nil, []string{"contract.webhooks"})
	o.says("retry_after", "429 and 503 carry Retry-After.", "track-and-app.md", []string{"runtime.limit_headers"}, nil)
	o.says("pagination", "Lists go on with start and next; tools with cursor and next_cursor.", "track-and-app.md", []string{"runtime.pagination"}, nil)
	o.says("idempotency", "Idempotency-Key on every write of every API: one effect within 24 hours, over restarts and on several nodes.", "adr/0009-idempotency-is-decided-by-the-engine.md", []string{"runtime.idempotency"}, nil)
	o.says("sandbox", "Without an SMTP server mail goes into a development mailbox; rapport demo is a scratch server.", "operating.md", []string{"safety.sandbox"}, nil)
	o.says("undo", "upsert_person answers the values before.", "agents.md", []string{"safety.undo"}, nil)
	o.says("approval", "There is no approval step.", "agents.md", nil, []string{"safety.approval"})
	o.says("why", "Every decision about a person is kept and can be read.", "operating.md", nil, nil)
	o.says("markdown", "The documentation is Markdown, and so are the pages of the guide.", "agents.md", []string{"discovery.markdown"}, nil)
	o.says("changelog", "There is a changelog and no deprecation policy yet.", "track-and-app.md", nil, []string{"discovery.changelog"})
}
