package admin

import (
	"net/http"

	"rapport.example/internal/api"
	"rapport.example/internal/api/oauth"
	"rapport.example/internal/fault"
)

// ClientsAnswer lists the OAuth clients that were registered. Those that describe themselves at their client_id are not in it.
type ClientsAnswer struct {
	Clients []oauth.Client `json:"clients"`
}

// ClientRequest registers an OAuth client.
type ClientRequest struct {
	ID        string   `json:"client_id"`
	Name      string   `json:"name"` // "" = the id
	Redirects []string `json:"redirect_uris"`
}

func (s *Surface) clientRoutes() []api.Route {
	route := func(method, path string, request, response any, h api.Handler, doc string) api.Route {
		r := api.Route{Method: method, Path: "/admin/v1/clients" + path, Auth: api.AdminKey, Shape: api.Problem, Request: request, Response: response, Handler: h, Doc: doc}
		if request != nil {
			r.MaxBody = maxBody
		}
		return r
	}
	return []api.Route{
		route(http.MethodGet, "", nil, ClientsAnswer{}, s.clients, "Lists the OAuth clients that were registered."),
		route(http.MethodPost, "", ClientRequest{}, oauth.Client{}, s.addClient, "Registers an OAuth client."),
		route(http.MethodDelete, "/{id}", nil, nil, s.removeClient, "Forgets an OAuth client, and ends what it was granted."),
	}
}

// authority is the authorization server, NotFound where there is none.
func (s *Surface) authority() (*oauth.Server, error) {
	if s.o.OAuth == nil {
		return nil, fault.New(fault.NotFound, "there is no authorization server here")
	}
	return s.o.OAuth, nil
}

func (s *Surface) clients(c *api.Call) error {
	o, err := s.authority()
	if err != nil {
		return err
	}
	out := ClientsAnswer{Clients: []oauth.Client{}}
	all, err := o.Clients(c.R.Context())
	if err != nil {
		return err
	}
	out.Clients = append(out.Clients, all...)
	return c.JSON(http.StatusOK, out)
}

func (s *Surface) addClient(c *api.Call) error {
	o, err := s.authority()
	if err != nil {
		return err
	}
	var in ClientRequest
	if err := c.Decode(&in, true); err != nil {
		return err
	}
	one := oauth.Client{ID: in.ID, Name: in.Name, Redirects: in.Redirects, Created: c.Now.UnixMilli()}
	if one.Name == "" {
		one.Name = one.ID
	}
	if err := o.Add(c.R.Context(), one); err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, one)
}

func (s *Surface) removeClient(c *api.Call) error {
	o, err := s.authority()
	if err != nil {
		return err
	}
	if err := o.Remove(c.R.Context(), c.Param("id")); err != nil {
		return err
	}
	return c.NoContent()
}
