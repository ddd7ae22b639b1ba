package admin

import (
	"context"
	"net/http"
	"net/netip"

	"rapport.example/internal/api"
	"rapport.example/internal/fault"
	"rapport.example/internal/workspace"
)

// maxAllowed bounds the addresses and networks of a workspace's list.
const maxAllowed = 100

// Addresses keeps from where keys may be used.
type Addresses interface {
	AllowedAddresses(ctx context.Context) (map[int64][]netip.Prefix, error)
	// AllowAddresses takes the place of a workspace's list; none = everywhere.
	AllowAddresses(ctx context.Context, workspace int64, list []netip.Prefix) error
}

// AllowedAddresses is from where a workspace's Track, App and agent keys may be used: addresses and networks in CIDR notation.
// None = from everywhere.
type AllowedAddresses struct {
	Allow []string `json:"allow"`
}

func (s *Surface) addressRoutes() []api.Route {
	read := api.Route{
		Method: http.MethodGet, Path: "/admin/v1/allowed_addresses", Auth: api.AdminKey, Shape: api.Problem, Response: AllowedAddresses{},
		Handler: s.allowed, Doc: "Lists from where a workspace's keys may be used.", Query: []api.Param{inWorkspace},
	}
	write := read
	write.Method, write.MaxBody, write.Request, write.Handler = http.MethodPut, maxBody, AllowedAddresses{}, s.allow
	write.Doc = "Sets from where a workspace's keys may be used, at once and on every node."
	return []api.Route{read, write}
}

func (s *Surface) allowed(c *api.Call) error {
	w, err := s.workspace(c.R.Context(), c.Query("workspace"))
	if err != nil {
		return err
	}
	all, err := s.o.Store.AllowedAddresses(c.R.Context())
	if err != nil {
		return err
	}
	out := AllowedAddresses{Allow: []string{}}
	for _, p := range all[w.ID] {
		out.Allow = append(out.Allow, p.String())
	}
	return c.JSON(http.StatusOK, out)
}

func (s *Surface) allow(c *api.Call) error {
	var in AllowedAddresses
	if err := c.Decode(&in, true); err != nil {
		return err
	}
	w, err := s.workspace(c.R.Context(), c.Query("workspace"))
	if err != nil {
		return err
	}
	if in.Allow == nil || len(in.Allow) > maxAllowed {
		return fault.Field("allow", "must be a list of at most %d addresses; an empty one allows all", maxAllowed)
	}
	var list []netip.Prefix
	for _, text := range in.Allow {
		p, err := workspace.ParsePrefix(text)
		if err != nil {
			return fault.Field("allow", "must be addresses and networks like 192.0.2.7 and 10.0.0.0/8")
		}
		list = append(list, p)
	}
	if err := s.o.Store.AllowAddresses(c.R.Context(), w.ID, list); err != nil {
		return err
	}
	if err := s.o.Keys.Changed(c.R.Context()); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the list is kept, but this node does not go by it yet")
	}
	return s.allowed(c)
}
