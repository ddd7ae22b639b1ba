package catalog

// Check is one question of the readiness score.
type Check struct {
	ID     string
	Domain string
	Name   string
	Points float64
	// Instead is the check for which this one is a lesser substitute: its points are not added to the possible ones, and
	// are earned only where the other is not passed.
	Instead string
}

// Domains are the parts of the readiness score in their order.
var domains = []string{"Access", "Contract", "Auth", "Runtime", "Safety", "Discovery"}

// Checks lists the questions of the readiness score. Their points add up to 100.
func Checks() []Check {
	return []Check{
		{ID: "access.official_mcp", Domain: "Access", Name: "Official MCP server", Points: 8},
		{ID: "access.community_mcp", Domain: "Access", Name: "Community MCP server only", Points: 4, Instead: "access.official_mcp"},
		{ID: "access.public_api", Domain: "Access", Name: "Public API", Points: 6},
		{ID: "access.two_transports", Domain: "Access", Name: "MCP over stdio and over HTTP", Points: 2},
		{ID: "access.self_service_key", Domain: "Access", Name: "Keys without asking anybody", Points: 3},
		{ID: "access.package", Domain: "Access", Name: "Command line or client library", Points: 3},

		{ID: "contract.openapi", Domain: "Contract", Name: "OpenAPI published", Points: 7},
		{ID: "contract.examples", Domain: "Contract", Name: "Half of the operations or more with examples", Points: 4},
		{ID: "contract.tool_inputs", Domain: "Contract", Name: "Strict input schemas of the tools", Points: 3},
		{ID: "contract.tool_outputs", Domain: "Contract", Name: "Output schemas of the tools", Points: 3},
		{ID: "contract.webhooks", Domain: "Contract", Name: "Webhooks or events described", Points: 3},

		{ID: "auth.steps", Domain: "Auth", Name: "Way to a credential, step by step", Points: 4},
		{ID: "auth.scoped", Domain: "Auth", Name: "Credentials with scopes or an expiry", Points: 4},
		{ID: "auth.oauth_metadata", Domain: "Auth", Name: "OAuth with metadata (RFC 9728, 8414)", Points: 3},
		{ID: "auth.hosts", Domain: "Auth", Name: "Regions and hosts stated", Points: 1},
		{ID: "auth.revoke", Domain: "Auth", Name: "Credentials can be listed and revoked", Points: 2},

		{ID: "runtime.errors", Domain: "Runtime", Name: "Stable shape of errors", Points: 4},
		{ID: "runtime.limit_headers", Domain: "Runtime", Name: "Retry-After or rate limit headers", Points: 4},
		{ID: "runtime.limits", Domain: "Runtime", Name: "Limits documented for each class", Points: 2},
		{ID: "runtime.pagination", Domain: "Runtime", Name: "Consistent pagination", Points: 4},
		{ID: "runtime.idempotency", Domain: "Runtime", Name: "Idempotent writes", Points: 4},

		{ID: "safety.dry_run", Domain: "Safety", Name: "Dry run", Points: 4},
		{ID: "safety.sandbox", Domain: "Safety", Name: "Sandbox or test mode", Points: 3},
		{ID: "safety.undo", Domain: "Safety", Name: "Undo described", Points: 2},
		{ID: "safety.approval", Domain: "Safety", Name: "A person approves what leaves", Points: 3},
		{ID: "safety.audit", Domain: "Safety", Name: "Audit log", Points: 2},
		{ID: "safety.read_only", Domain: "Safety", Name: "Read-only mode", Points: 2},

		{ID: "discovery.llms", Domain: "Discovery", Name: "llms.txt", Points: 2},
		{ID: "discovery.markdown", Domain: "Discovery", Name: "Documentation as Markdown", Points: 2},
		{ID: "discovery.api_catalog", Domain: "Discovery", Name: "API catalogue (RFC 9727)", Points: 1},
		{ID: "discovery.registry", Domain: "Discovery", Name: "MCP server card or registry entry", Points: 1},
		{ID: "discovery.skills", Domain: "Discovery", Name: "Agent skills", Points: 2},
		{ID: "discovery.changelog", Domain: "Discovery", Name: "Changelog and deprecation policy", Points: 2},
	}
}

// Outcome is what is known about a check.
type Outcome string

// The outcomes of a check.
const (
	Pass        Outcome = "pass"
	Fail        Outcome = "fail"
	Unverified  Outcome = "not verified" // nobody looked, or nothing was found: earns nothing, stays in the denominator
	NotApplying Outcome = "not applicable"
)

// Result is a check as answered for one service.
type Result struct {
	Check    string   `json:"check"`
	Domain   string   `json:"domain"`
	Name     string   `json:"name"`
	Outcome  Outcome  `json:"outcome"`
	Possible float64  `json:"possible"` // points that count in the denominator
	Points   float64  `json:"points"`   // points earned
	Evidence Evidence `json:"evidence,omitempty"`
	Facts    []string `json:"facts,omitempty"` // keys, the best evidence first
	Reason   string   `json:"reason,omitempty"`
}

// Results answers every check from the facts of an entry, in the order of Checks. Each fact that passes a check shows it by
// itself, so the best evidence counts. A fact that fails a check outweighs those that pass it, unless its evidence is weaker.
func Results(s *Service) []Result {
	all := Checks()
	out := make([]Result, len(all))
	passed := map[string]bool{}
	for i, c := range all {
		r := resultOf(s, c)
		if c.Instead != "" {
			r.Possible = 0
			if passed[c.Instead] {
				r.Outcome, r.Points, r.Reason = NotApplying, 0, "the official one counts"
			}
		}
		passed[c.ID] = r.Outcome == Pass
		out[i] = r
	}
	return out
}

func resultOf(s *Service, c Check) Result {
	r := Result{Check: c.ID, Domain: c.Domain, Name: c.Name, Outcome: Unverified, Possible: c.Points}
	for _, e := range s.CannotHave {
		if e.Check == c.ID {
			r.Outcome, r.Possible, r.Reason = NotApplying, 0, e.Reason
			return r
		}
	}
	pass, passKeys := best(s, c.ID, func(f *Fact) []string { return f.Passes })
	fail, failKeys := best(s, c.ID, func(f *Fact) []string { return f.Fails })
	switch {
	case len(failKeys) > 0 && fail >= pass:
		r.Outcome, r.Evidence, r.Facts = Fail, fail, failKeys
	case len(passKeys) > 0:
		r.Outcome, r.Evidence, r.Facts = Pass, pass, passKeys
		r.Points = round(c.Points * pass.Factor())
	}
	return r
}

// best gathers the current facts that name a check, the firmest first. Levels compare as their names do.
func best(s *Service, check string, names func(*Fact) []string) (top Evidence, keys []string) {
	for i := range s.Facts {
		f := &s.Facts[i]
		if f.Status != "" {
			continue
		}
		for _, n := range names(f) {
			if n != check {
				continue
			}
			if f.Evidence > top {
				top, keys = f.Evidence, append([]string{f.Key}, keys...)
			} else {
				keys = append(keys, f.Key)
			}
		}
	}
	return top, keys
}
