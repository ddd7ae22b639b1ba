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
		Replaced  int64          `json:"replaced_by,omitempty"` // id of the key that takes its place until it expires
		PerMinute int64          `json:"limit,omitempty"`       // requests a minute; 0 = no limit of its own
		// Of what an OAuth client was granted; expires is then that of its newest access token.
		Client   string `json:"client_id,omitempty"`
		Audience string `json:"audience,omitempty"`    // what its tokens are good for
		Approved int64  `json:"approved_by,omitempty"` // id of the admin key of who agreed
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
		PerMinute int64          `json:"limit"` // requests a minute, of agent keys; 0 = no limit of its own
	}

	// RotateRequest asks for a key that takes the place of another one, and is like it.
	RotateRequest struct {
		Overlap   string `json:"overlap"`    // how long the old key is good besides the new one; "" = 24h, "0s" = not at all
		ExpiresIn string `json:"expires_in"` // of the new key; "" = as long as the old one was made for
	}

	// Rotation is the new key.
	Rotation struct {
		Secret
		Replaces int64 `json:"replaces"` // id of the old key
		Ends     int64 `json:"ends"`     // when that one ends
	}

	// Secret is a new key with its secret.
	Secret struct {
		Key
		Secret string `json:"secret"`
	}
)

// defaultOverlap is how long a key goes on working that another one took the place of.
const defaultOverlap = 24 * time.Hour

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
	return Key{c.ID, c.Workspace, c.Kind, c.Name, c.SiteID, c.Prefix, c.Allowed(), c.Created / 1000, c.Expires / 1000, c.Revoked / 1000, c.LastUsed / 1000, c.Replaced, c.PerMinute, c.Client, c.Audience, c.Approved}
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
	cred.Created, cred.PerMinute = c.Now.UnixMilli(), in.PerMinute
	if in.PerMinute < 0 || in.PerMinute > 1_000_000 || in.PerMinute > 0 && in.Kind != workspace.Agent {
		return fault.Field("limit", "must be 0 to 1000000 requests a minute, of an agent key")
	}
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
	if err := s.o.Keys.Changed(c.R.Context()); err != nil {
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
	if err := s.o.Keys.Changed(c.R.Context(), id); err != nil {
		s.o.Logger.Warn("could not refresh keys; those revoked are refused nevertheless", "error", err)
	}
	return c.NoContent()
}

// rotateKey makes a key like another one, which ends after the overlap.
func (s *Surface) rotateKey(c *api.Call) error {
	id, err := c.ParamID("id")
	if err != nil {
		return err
	}
	var in RotateRequest
	if err := c.Decode(&in, true); err != nil {
		return err
	}
	overlap := defaultOverlap
	if in.Overlap == "0" || in.Overlap == "0s" {
		overlap = 0
	} else if in.Overlap != "" {
		if overlap, err = duration("overlap", in.Overlap); err != nil {
			return err
		}
	}
	old, err := s.credential(c, id)
	if err != nil {
		return err
	}
	next, secret := NewCredential(old.Kind, old.Workspace, old.Name)
	next.Created, next.SiteID, next.Scopes, next.PerMinute = c.Now.UnixMilli(), old.SiteID, old.Scopes, old.PerMinute // a Track key's clients change the api key alone
	if in.ExpiresIn != "" {
		d, err := duration("expires_in", in.ExpiresIn)
		if err != nil {
			return err
		}
		next.Expires = c.Now.Add(d).UnixMilli()
	} else if old.Expires != 0 {
		next.Expires = c.Now.UnixMilli() + old.Expires - old.Created
	}
	ends := c.Now.Add(overlap).UnixMilli()
	if old.Expires != 0 {
		ends = min(ends, old.Expires)
	}
	if next, err = s.o.Store.RotateCredential(c.R.Context(), id, ends, next); err != nil {
		return err
	}
	if err := s.o.Keys.Changed(c.R.Context()); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the key is kept, but this node does not know it yet")
	}
	return c.JSON(http.StatusCreated, Rotation{Secret{key(&next), secret}, id, ends / 1000})
}

// credential finds one to be replaced.
func (s *Surface) credential(c *api.Call, id int64) (workspace.Credential, error) {
	all, err := s.o.Store.Credentials(c.R.Context())
	if err != nil {
		return workspace.Credential{}, err
	}
	for i := range all {
		switch one := &all[i]; {
		case one.ID != id:
		case one.Revoked != 0 || one.Replaced != 0 || one.Expires != 0 && one.Expires <= c.Now.UnixMilli():
			return workspace.Credential{}, fault.New(fault.Conflict, "key %d has ended or was replaced already: create a new one", id)
		case one.Client != "":
			return workspace.Credential{}, fault.New(fault.Conflict, "key %d is what an OAuth client was granted: the client renews it by itself", id)
		default:
			return *one, nil
		}
	}
	return workspace.Credential{}, fault.New(fault.NotFound, "there is no key %d", id)
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
