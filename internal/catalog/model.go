package catalog

import "slices"

// Evidence says how firmly a fact is known.
type Evidence string

// The levels of evidence.
const (
	Claimed     Evidence = "E0" // somebody says so
	Read        Evidence = "E1" // a public source was read
	Probed      Evidence = "E2" // we asked the service
	Executed    Evidence = "E3" // a task was carried out with assertions, five runs or more
	Independent Evidence = "E4" // five reporters or more, independent of each other
)

// Factor is the share of a check's points that evidence of this level earns.
func (e Evidence) Factor() float64 {
	switch e {
	case Read:
		return 0.6
	case Probed:
		return 0.85
	case Executed, Independent:
		return 1
	case Claimed:
	}
	return 0
}

// Label is the level in words.
func (e Evidence) Label() string {
	switch e {
	case Claimed:
		return "claimed"
	case Read:
		return "public source read"
	case Probed:
		return "probed by us"
	case Executed:
		return "executed with assertions"
	case Independent:
		return "independent reports"
	}
	return "not verified"
}

// Service is one entry of the guide.
type Service struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Aliases    []string   `json:"aliases,omitempty"`
	Category   string     `json:"category"`
	Summary    string     `json:"summary"` // one sentence or two, our own words
	Tasks      []string   `json:"tasks,omitempty"`
	Homepage   string     `json:"homepage"`
	Docs       string     `json:"docs,omitempty"`
	Vendor     string     `json:"vendor,omitempty"`
	Licence    string     `json:"licence,omitempty"` // of open source
	Regions    []string   `json:"regions,omitempty"`
	Own        bool       `json:"own,omitempty"` // this is the product that carries the guide
	MCP        []MCP      `json:"mcp,omitempty"`
	APIs       []API      `json:"apis,omitempty"`
	Guide      Guide      `json:"guide"`
	Endpoints  []Endpoint `json:"endpoints,omitempty"`
	FAQ        []QA       `json:"faq,omitempty"`
	Facts      []Fact     `json:"facts"`
	CannotHave []Exempt   `json:"not_applicable,omitempty"` // checks that leave the denominator
	Runs       []Runs     `json:"runs,omitempty"`
	Directory  *Directory `json:"directory,omitempty"`
	Changes    []Change   `json:"changes,omitempty"` // newest first
	UpdatedAt  string     `json:"updated_at"`
}

// MCP is a server that speaks the Model Context Protocol for the service.
type MCP struct {
	Kind       string   `json:"kind"` // official or community
	URL        string   `json:"url,omitempty"`
	Command    string   `json:"command,omitempty"`
	Transports []string `json:"transports,omitempty"` // http, stdio, sse
	Auth       string   `json:"auth,omitempty"`
	Tools      int      `json:"tools_count,omitempty"` // 0 = not known
	Scopes     []string `json:"scopes,omitempty"`
	Fact       string   `json:"fact"` // key of the fact that shows it
}

// API is one programming interface of the service.
type API struct {
	Name        string            `json:"name"`
	BaseURLs    map[string]string `json:"base_urls"` // by region; "default" where there is only one
	Versions    []string          `json:"versions,omitempty"`
	Auth        []string          `json:"auth,omitempty"`
	ContentType []string          `json:"content_types,omitempty"`
	Pagination  []string          `json:"pagination,omitempty"`
	RateLimits  []RateLimit       `json:"rate_limits,omitempty"`
	ErrorFormat []string          `json:"error_format,omitempty"`
	Idempotency string            `json:"idempotency,omitempty"`
	Webhooks    string            `json:"webhooks,omitempty"`
	OpenAPI     string            `json:"openapi_url,omitempty"`
	Sandbox     string            `json:"sandbox,omitempty"`
	Facts       []string          `json:"facts"` // keys of the facts that show the above
}

// RateLimit is how much of a class of requests the service takes.
type RateLimit struct {
	Class  string `json:"class"`
	Limit  string `json:"limit"` // "100/s", or what the vendor says
	Window string `json:"window,omitempty"`
	Fact   string `json:"fact"`
}

// Guide is what a person reads to connect the service.
type Guide struct {
	Setup      []Note `json:"setup,omitempty"`
	Quickstart []Code `json:"quickstart,omitempty"`
	Pitfalls   []Note `json:"pitfalls,omitempty"`
	Tips       []Note `json:"tips,omitempty"`
}

// Note is a sentence of the guide and the facts that it rests on.
type Note struct {
	Text  string   `json:"text"`
	Facts []string `json:"facts"`
}

// Code is an example to copy.
type Code struct {
	Lang string `json:"lang"` // curl, go, node, python or mcp
	Code string `json:"code"`
	Fact string `json:"fact"`
}

// Endpoint is one operation.
type Endpoint struct {
	API     string `json:"api"`
	Method  string `json:"method"`
	Path    string `json:"path"`
	Purpose string `json:"purpose"`
	Scope   string `json:"scope,omitempty"` // what the credential must allow
	Fact    string `json:"fact"`
}

// QA is a question and its answer.
type QA struct {
	Question string   `json:"question"`
	Answer   string   `json:"answer"`
	Facts    []string `json:"facts"`
}

// Fact is one thing known about the service, where from and since when.
type Fact struct {
	Key       string   `json:"key"` // dotted, unique in the entry
	Value     string   `json:"value"`
	Source    string   `json:"source_url"`
	CheckedAt string   `json:"checked_at"` // the day on which the source was read
	Evidence  Evidence `json:"evidence"`
	// Status is current where it is "". corrected: it is no longer so, or never was, and ReplacedBy names what is. disputed:
	// public sources disagree. Only facts that are current earn points.
	Status     string   `json:"status,omitempty"`
	ReplacedBy string   `json:"replaced_by,omitempty"`
	Note       string   `json:"note,omitempty"`
	Passes     []string `json:"passes,omitempty"` // checks that the fact shows to be fulfilled
	Fails      []string `json:"fails,omitempty"`  // checks that it shows not to be
}

// The values of Fact.Status.
const (
	Corrected = "corrected"
	Disputed  = "disputed"
)

// Exempt is a check that cannot apply to the service.
type Exempt struct {
	Check  string `json:"check"`
	Reason string `json:"reason"`
}

// Runs counts carried-out tasks of one provenance; those of different provenance are never added up.
type Runs struct {
	Provenance string `json:"provenance"` // probe or test
	Task       string `json:"task"`
	Count      int    `json:"count"`
	Succeeded  int    `json:"succeeded"`
	CheckedAt  string `json:"checked_at"`
	Source     string `json:"source_url"`
}

// Directory is what another directory published about the service: imported, never mixed with what was found here.
type Directory struct {
	Name     string  `json:"name"`
	Score    float64 `json:"score"`
	Grade    string  `json:"grade"`
	MCP      string  `json:"mcp"` // as the directory had it: official, community or none
	Reports  bool    `json:"reports"`
	Success  bool    `json:"success"`
	Trust    bool    `json:"trust"`
	AsOf     string  `json:"as_of"`
	Source   string  `json:"source_url"`
	Inferred string  `json:"inferred,omitempty"` // which of these inputs were worked out, and how
}

// Change is something that changed about the service or its entry.
type Change struct {
	Date string `json:"date"`
	Text string `json:"text"`
	Fact string `json:"fact"`
}

// Recipe is a way to reach a goal with one service or several.
type Recipe struct {
	ID            string   `json:"id"`
	Goal          string   `json:"goal"`
	Category      string   `json:"category,omitempty"`
	Risk          string   `json:"risk"` // low, medium or high
	Preconditions []string `json:"preconditions,omitempty"`
	Steps         []Step   `json:"steps"`
	Gotchas       []string `json:"gotchas,omitempty"`
	Evidence      Evidence `json:"evidence"`
	LastVerified  string   `json:"last_verified"`
	Source        string   `json:"source_url"`
	Version       int      `json:"version"`
}

// Step is one call of a recipe.
type Step struct {
	Service   string            `json:"service_id"`
	Operation string            `json:"operation"`        // a tool, or method and path
	Inputs    map[string]string `json:"inputs,omitempty"` // name to value, or $N.name for an output of step N
	Outputs   []string          `json:"outputs,omitempty"`
	ErrorHint string            `json:"error_hint,omitempty"`
}

// Services lists the services that the recipe needs, by id.
func (r *Recipe) Services() []string {
	var out []string
	for _, s := range r.Steps {
		out = append(out, s.Service)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Fact finds a fact by key; nil if there is none.
func (s *Service) Fact(key string) *Fact {
	for i := range s.Facts {
		if s.Facts[i].Key == key {
			return &s.Facts[i]
		}
	}
	return nil
}

// Corrections lists the facts that no longer hold.
func (s *Service) Corrections() []Fact {
	var out []Fact
	for _, f := range s.Facts {
		if f.Status == Corrected {
			out = append(out, f)
		}
	}
	return out
}
