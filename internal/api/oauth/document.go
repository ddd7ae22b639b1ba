package oauth

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"rapport.example/internal/fault"
)

// Bounds of what a client says of itself.
const (
	maxDocument  = 16 << 10 // bytes
	fetchFor     = 5 * time.Second
	keepFor      = 10 * time.Minute
	maxDocuments = 200
)

// documents are what clients said of themselves, for a while.
type documents struct {
	mu  sync.Mutex
	all map[string]document
}

type document struct {
	client Client
	until  time.Time
}

// Client finds a client by its id: registered, or described where its id says. Its error is for people to read.
func (s *Server) Client(ctx context.Context, id string) (Client, error) {
	if !strings.Contains(id, ":") {
		all, err := s.o.Store.OAuthClients(ctx)
		if err != nil {
			return Client{}, err
		}
		for _, c := range all {
			if c.ID == id {
				return c, nil
			}
		}
		return Client{}, fault.New(fault.Invalid, "the client is not known here: an operator registers it with rapport agents clients add")
	}
	if err := checkID(id); err != nil {
		return Client{}, err
	}
	now := s.o.Now()
	s.documents.mu.Lock()
	d, ok := s.documents.all[id]
	s.documents.mu.Unlock()
	if ok && now.Before(d.until) {
		return d.client, nil
	}
	c, err := s.fetch(ctx, id)
	if err != nil {
		return Client{}, err
	}
	s.documents.mu.Lock()
	defer s.documents.mu.Unlock()
	if len(s.documents.all) >= maxDocuments {
		clear(s.documents.all)
	}
	s.documents.all[id] = document{c, now.Add(keepFor)}
	return c, nil
}

// checkID holds an id that is an address to what a client ID metadata document's must be.
func checkID(id string) error {
	u, err := url.Parse(id)
	if err != nil || len(id) > 500 || u.Scheme != "https" || u.Hostname() == "" || u.Path == "" || u.Path == "/" || u.User != nil || strings.Contains(id, "#") || u.Path != cleaned(u) {
		return fault.New(fault.Invalid, "the client's id must be an https address with a path, without a fragment")
	}
	return nil
}

// cleaned is the path without segments that lead upwards.
func cleaned(u *url.URL) string { return u.JoinPath().Path }

// fetch reads what a client says of itself. Nothing of the answer but what is good gets out.
func (s *Server) fetch(ctx context.Context, id string) (Client, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchFor)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, id, nil)
	if err != nil {
		return Client{}, fault.New(fault.Invalid, "the client's id is no address")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "rapport-oauth")
	res, err := s.o.Client.Do(req)
	if err != nil {
		return Client{}, fault.New(fault.Invalid, "what the client says of itself cannot be read at its address")
	}
	defer res.Body.Close() //nolint:errcheck // read only
	if res.StatusCode != http.StatusOK {
		return Client{}, fault.New(fault.Invalid, "the client's address answers %d; a description must be there itself, without a redirect", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxDocument+1))
	if err != nil || len(body) > maxDocument {
		return Client{}, fault.New(fault.Invalid, "what the client says of itself is longer than 16 KiB or broke off")
	}
	return describe(id, body)
}

// describe reads a client ID metadata document.
func describe(id string, body []byte) (Client, error) {
	var d struct {
		ID        string   `json:"client_id"`
		Name      string   `json:"client_name"`
		Redirects []string `json:"redirect_uris"`
		Method    string   `json:"token_endpoint_auth_method"`
		Secret    any      `json:"client_secret"`
	}
	if err := json.Unmarshal(body, &d); err != nil {
		return Client{}, fault.New(fault.Invalid, "what the client says of itself is no JSON of the right form")
	}
	switch {
	case d.ID != id:
		return Client{}, fault.New(fault.Invalid, "what stands at the client's address is of another client")
	case d.Method != "" && d.Method != "none" || d.Secret != nil:
		return Client{}, fault.New(fault.Invalid, "the client wants to prove itself with a secret; here clients have none (token_endpoint_auth_method none)")
	case len(d.Name) > 100 || hasControls(d.Name) || len(d.Redirects) == 0 || len(d.Redirects) > 20:
		return Client{}, fault.New(fault.Invalid, "the client must have a name of at most 100 bytes and 1 to 20 redirect_uris")
	}
	for _, u := range d.Redirects {
		if err := checkRedirect(u); err != nil {
			return Client{}, fault.Wrap(fault.Invalid, err, "the client's description is not good")
		}
	}
	return Client{ID: id, Name: d.Name, Redirects: d.Redirects}, nil
}
