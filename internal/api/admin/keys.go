package admin

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"rapport.example/internal/api"
	"rapport.example/internal/fault"
	"rapport.example/internal/id"
	"rapport.example/internal/workspace"
)

type (
	// Key is a credential without its secret. Times are Unix seconds, 0 = never.
	Key struct {
		ID        int64          `json:"id"`
		Workspace int64          `json:"workspace"` // 0 = all
		Kind      workspace.Kind `json:"kind"`
		Name      string         `json:"name"`
		SiteID    string         `json:"site_id,omitempty"`
		Prefix    string         `json:"prefix"`
		Scopes    []string       `json:"scopes,omitempty"`
		Created   int64          `json:"created"`
		Expires   int64          `json:"expires"`
		Revoked   int64          `json:"revoked"`
		LastUsed  int64          `json:"last_used"`
	}

	// KeysAnswer lists keys.
	KeysAnswer struct {
		Keys []Key `json:"keys"`
	}

	// KeyRequest asks for a new key.
	KeyRequest struct {
		Kind      workspace.Kind `json:"kind"`
		Name      string         `json:"name"`
		Workspace string         `json:"workspace"` // id or name; "" = the first. Admin keys have none.
		Scopes    []string       `json:"scopes"`    // of agent keys, none = read and write; of App keys: read, write, send, none = all
		ExpiresIn string         `json:"expires_in"`
	}

	// Secret is a new key with its secret.
	Secret struct {
		Key
		Secret string `json:"secret"`
	}
)

// secretBytes is the strength of generated secrets.
const secretBytes = 20

// NewCredential makes a credential of a kind with a new secret, which is kept nowhere else. Track keys get a site id,
// which with the secret makes the pair site_id:api_key.
func NewCredential(kind workspace.Kind, ws int64, name string) (c workspace.Credential, secret string) {
	secret = id.Secret(secretBytes)
	if kind == workspace.Agent {
		secret = "agk_" + secret
	}
	c = Credential(kind, ws, name, secret)
	if kind == workspace.Track {
		c.SiteID = id.Secret(10)
	}
	return c, secret
}

// Credential makes a credential of a secret that the operator chose.
func Credential(kind workspace.Kind, ws int64, name, secret string) workspace.Credential {
	if kind == workspace.Admin {
		ws = 0
	}
	prefix := secret[:min(len(secret)/4, 8)]
	if !utf8.ValidString(prefix) {
		prefix = ""
	}
	c := workspace.Credential{Workspace: ws, Kind: kind, Name: name, Prefix: prefix, Hash: workspace.Hash(secret)}
	if kind == workspace.Agent {
		c.Scopes = c.AgentScopes()
	}
	return c
}

func key(c *workspace.Credential) Key {
	return Key{c.ID, c.Workspace, c.Kind, c.Name, c.SiteID, c.Prefix, c.Allowed(), c.Created / 1000, c.Expires / 1000, c.Revoked / 1000, c.LastUsed / 1000}
}

// listKeys lists the keys of all workspaces, or those of the one that is named.
func (s *Surface) listKeys(c *api.Call) error {
	only := int64(0)
	if c.Query("workspace") != "" {
		w, err := s.workspace(c.R.Context(), c.Query("workspace"))
		if err != nil {
			return err
		}
		only = w.ID
	}
	all, err := s.o.Store.Credentials(c.R.Context())
	if err != nil {
		return err
	}
	out := KeysAnswer{Keys: []Key{}}
	for i := range all {
		if only == 0 || all[i].Workspace == only {
			out.Keys = append(out.Keys, key(&all[i]))
		}
	}
	return c.JSON(http.StatusOK, out)
}

func (s *Surface) createKey(c *api.Call) error {
	var in KeyRequest
	if err := c.Decode(&in, true); err != nil {
		return err
	}
	var ws int64
	switch in.Kind {
	case workspace.Admin:
	case workspace.Track, workspace.App, workspace.Write, workspace.Agent:
		if in.Workspace == "" {
			in.Workspace = c.Query("workspace")
		}
		w, err := s.workspace(c.R.Context(), in.Workspace)
		if err != nil {
			return err
		}
		ws = w.ID
	default:
		return fault.Field("kind", "must be one of track, app, write, admin and agent")
	}
	if len(in.Name) > 200 || strings.ContainsRune(in.Name, 0) {
		return fault.Field("name", "must be at most 200 bytes without NUL")
	}
	cred, secret := NewCredential(in.Kind, ws, in.Name)
	if err := scopes(&cred, in.Scopes); err != nil {
		return err
	}
	if in.ExpiresIn != "" {
		d, err := duration("expires_in", in.ExpiresIn)
		if err != nil {
			return err
		}
		cred.Expires = c.Now.Add(d).UnixMilli()
	}
	cred, err := s.o.Store.CreateCredential(c.R.Context(), cred)
	if err != nil {
		return err
	}
	if err := s.o.Keys.Refresh(c.R.Context()); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the key is kept, but this node does not know it yet")
	}
	return c.JSON(http.StatusCreated, Secret{key(&cred), secret})
}

func scopes(c *workspace.Credential, list []string) error {
	known := workspace.ScopesOf(c.Kind)
	if len(list) > 0 && known == nil {
		return fault.Field("scopes", "are for agent and App keys only")
	}
	for i, sc := range list {
		if !slices.Contains(known, sc) || slices.Contains(list[:i], sc) {
			return fault.Field("scopes", "must be of %s, each once", strings.Join(known, ", "))
		}
	}
	if len(list) > 0 {
		c.Scopes = list
	}
	return nil
}

func (s *Surface) revokeKey(c *api.Call) error {
	id, err := c.ParamID("id")
	if err != nil {
		return err
	}
	if err := s.o.Store.Revoke(c.R.Context(), id); err != nil {
		return err
	}
	s.o.Keys.Forget(id)
	return c.NoContent()
}

// duration reads a span as Go writes it, or in whole days such as 3d. It is more than 0.
func duration(field, text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); err != nil && ok {
		var n int64
		if _, err = fmt.Sscanf(days, "%d", &n); err == nil && fmt.Sprint(n) == days && n < 100_000 {
			d = time.Duration(n) * 24 * time.Hour
		}
	}
	if err != nil || d <= 0 {
		return 0, fault.Field(field, "must be a duration above zero, such as 90m, 72h or 3d")
	}
	return d, nil
}
