package doctor

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

func accesses() []check {
	return []check{
		{
			"resource-metadata", "OAuth protected resource", "RFC 9728: an agent without a key learns where to get one.",
			"Serve /.well-known/oauth-protected-resource with resource and authorization_servers.", resourceMetadata,
		},
		{
			"server-metadata", "OAuth authorization server", "RFC 8414: a client finds the endpoints and what they take.",
			"Serve the metadata with authorization_endpoint, token_endpoint and code_challenge_methods_supported: [S256].", serverMetadata,
		},
		{
			"challenge", "MCP asks who is there", "A client that is turned away must learn where to sign in.",
			"Answer /mcp without a token 401, with WWW-Authenticate: Bearer resource_metadata=….", challenge,
		},
		{"server-json", "/server.json", "The MCP registry and installers read it.", "Serve the registry's form: name, description, version, and packages or remotes.", serverJSON},
		{
			"server-card", "MCP server card", "A draft by which clients preview a server.",
			"Serve /.well-known/mcp/server-card.json as a part of server.json.", serverCard,
		},
		{
			"skills", "Agent skills", "They tell an agent how tasks are done here.",
			"Serve /.well-known/agent-skills/index.json with name, description, url and a SHA-256 digest of each file.", skills,
		},
	}
}

func resourceMetadata(l *look) finding {
	var d struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
	}
	for _, path := range [...]string{"/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"} {
		if why := l.get(path, "application/json").decode(&d); why != "" {
			return bad(why)
		}
		if d.Resource == "" || len(d.Servers) == 0 {
			return bad(path + " lacks resource or authorization_servers")
		}
	}
	return ok(d.Resource)
}

func serverMetadata(l *look) finding {
	var d struct {
		Issuer    string   `json:"issuer"`
		Authorize string   `json:"authorization_endpoint"`
		Token     string   `json:"token_endpoint"`
		Methods   []string `json:"code_challenge_methods_supported"`
	}
	if why := l.get("/.well-known/oauth-authorization-server", "application/json").decode(&d); why != "" {
		return bad(why)
	}
	switch {
	case d.Issuer == "" || d.Authorize == "" || d.Token == "":
		return bad("it lacks issuer, authorization_endpoint or token_endpoint")
	case !slices.Equal(d.Methods, []string{"S256"}):
		return bad(fmt.Sprintf("PKCE methods are %v, not S256 alone", d.Methods))
	}
	return ok(d.Issuer)
}

func challenge(l *look) finding {
	a := l.get("/mcp", "text/event-stream")
	if a.err != nil {
		return bad(a.missing())
	}
	head := a.header.Get("WWW-Authenticate")
	switch {
	case a.status != http.StatusUnauthorized:
		return bad(fmt.Sprintf("/mcp answers %d to whoever has no token", a.status))
	case !strings.HasPrefix(head, "Bearer") || !strings.Contains(head, "resource_metadata="):
		return bad("WWW-Authenticate does not say where the metadata is")
	}
	return ok("401 with resource_metadata")
}

type registryEntry struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Version     string `json:"version"`
	Packages    []any  `json:"packages"`
	Remotes     []any  `json:"remotes"`
}

func (e *registryEntry) lacks() string {
	switch {
	case e.Name == "" || e.Description == "" || e.Version == "":
		return "it lacks name, description or version"
	case len(e.Packages)+len(e.Remotes) == 0:
		return "it names neither packages nor remotes"
	}
	return ""
}

func serverJSON(l *look) finding {
	var e registryEntry
	if why := l.get("/server.json", "application/json").decode(&e); why != "" {
		return bad(why)
	}
	if why := e.lacks(); why != "" {
		return bad(why)
	}
	return ok(e.Name + " " + e.Version)
}

func serverCard(l *look) finding {
	var e registryEntry
	if why := l.get("/.well-known/mcp/server-card.json", "application/json").decode(&e); why != "" {
		return warn(why)
	}
	if e.Name == "" {
		return warn("it has no name")
	}
	return ok(e.Name + ", still a draft")
}

func skills(l *look) finding {
	var index struct {
		Skills []struct {
			Name        string `json:"name"`
			Description string `json:"description"`
			URL         string `json:"url"`
			Digest      string `json:"digest"`
		} `json:"skills"`
	}
	if why := l.get("/.well-known/agent-skills/index.json", "application/json").decode(&index); why != "" {
		return bad(why)
	}
	if len(index.Skills) == 0 {
		return bad("it lists none")
	}
	for _, s := range index.Skills {
		a := l.get(s.URL, "")
		if why := a.missing(); why != "" {
			return bad(why)
		}
		sum := sha256.Sum256(a.body)
		switch {
		case s.Name == "" || s.Description == "":
			return bad(s.URL + " is listed without name or description")
		case !strings.EqualFold(strings.TrimPrefix(s.Digest, "sha256:"), hex.EncodeToString(sum[:])):
			return bad(s.Name + ": its digest is not that of the file")
		case !strings.HasPrefix(string(a.body), "---\n"):
			return bad(s.Name + " has no front matter")
		}
	}
	return ok(fmt.Sprintf("%d, digests match", len(index.Skills)))
}
