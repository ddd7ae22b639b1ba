package server

import (
	"context"

	"rapport.example/internal/api/admin"
	"rapport.example/internal/workspace"
)

// first makes the first workspace and its credentials if there is none yet; nil if there is.
func (s *server) first(ctx context.Context) ([]Credential, error) {
	have, err := s.db.Workspaces(ctx)
	if err != nil || len(have) > 0 {
		return nil, err
	}
	w, err := s.db.CreateWorkspace(ctx, "", -1)
	if err != nil {
		return nil, err
	}
	given := s.o.Keys
	var out []Credential
	for _, k := range []struct {
		kind   workspace.Kind
		secret string
	}{
		{workspace.Track, given.APIKey},
		{workspace.App, given.AppKey},
		{workspace.Write, given.WriteKey},
		{workspace.Agent, given.AgentKey},
		{workspace.Admin, given.AdminKey},
	} {
		c, secret := admin.NewCredential(k.kind, w.ID, "first")
		if k.secret != "" {
			site := c.SiteID
			c, secret = admin.Credential(k.kind, w.ID, "first", k.secret), k.secret
			c.SiteID = site
		}
		if k.kind == workspace.Track && given.SiteID != "" {
			c.SiteID = given.SiteID
		}
		if k.kind == workspace.Admin {
			c.Workspace = 0
		}
		if _, err := s.db.CreateCredential(ctx, c); err != nil {
			return nil, err
		}
		out = append(out, Credential{k.kind, c.SiteID, secret})
	}
	return out, nil
}
