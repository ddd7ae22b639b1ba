package admin

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"rapport.example/internal/api/oauth"
	"rapport.example/internal/fault"
	"rapport.example/internal/workspace"
)

// permission is a scope as people are asked for it.
type permission struct {
	Scope, Title, About string
	On                  bool // ticked
	Off                 bool // cannot be ticked: no workspace allows it
}

// permissions are all scopes in plain words. What live data is, the page says beside it.
func permissions() []permission {
	return []permission{
		{Scope: workspace.Read, Title: "Read", About: "See people, segments, campaigns and deliveries. Sensitive attributes stay hidden."},
		{Scope: workspace.ReadSensitive, Title: "Read what is sensitive", About: "See sensitive attributes, and what messages to people said."},
		{Scope: workspace.WriteScope, Title: "Write", About: "Change people's attributes, record events, put people into segments. Campaigns can react to that and send."},
		{Scope: workspace.WriteLive, Title: "Act on live data", About: "Subscribe, unsubscribe, suppress, merge and delete people, and change what live messages say. Some of it cannot be undone."},
		{Scope: workspace.Configure, Title: "Describe data", About: "Say what attributes and events are for, and which attributes are sensitive."},
		{Scope: workspace.Audit, Title: "Read the record", About: "See what all agents of the workspace did."},
	}
}

// consentPlace is a workspace that can be chosen.
type consentPlace struct {
	workspace.Workspace
	Live, Stopped bool
}

// consentData is the content of the consent page.
type consentData struct {
	*oauth.Request
	Sealed      string
	Permissions []permission
	Places      []consentPlace
	Error       string
	Chosen      int64
}

func (p *pages) consentRoutes(mux *http.ServeMux) {
	if p.s.o.OAuth == nil {
		return
	}
	mux.HandleFunc("GET "+oauth.AuthorizePath, p.private(p.consent))
	mux.HandleFunc("POST "+oauth.AuthorizePath, p.private(p.decide))
}

// consent asks whether a client may act for the person who is signed in.
func (p *pages) consent(w http.ResponseWriter, r *http.Request, f *frame) (string, error) {
	q, back, err := p.s.o.OAuth.Ask(r, p.s.sessions.of(r).ID)
	if err != nil {
		return "", err
	}
	if back != "" {
		leave(w, r, back)
		return "", nil
	}
	return p.ask(w, r, f, q, consentData{})
}

// ask shows the question.
func (p *pages) ask(w http.ResponseWriter, r *http.Request, f *frame, q *oauth.Request, d consentData) (string, error) {
	var err error
	if d.Sealed, err = p.s.o.OAuth.Seal(q); err != nil {
		return "", err
	}
	d.Request = q
	live := false
	for _, ws := range f.Workspaces {
		policy, err := p.s.o.Store.AgentPolicy(r.Context(), ws.ID)
		if err != nil {
			return "", err
		}
		d.Places = append(d.Places, consentPlace{ws, policy.Live, policy.Stopped})
		live = live || policy.Live
	}
	if d.Chosen == 0 && len(d.Places) > 0 {
		d.Chosen = d.Places[0].ID
	}
	for _, one := range permissions() {
		if slices.Contains(q.Scopes, one.Scope) {
			one.Off = one.Scope == workspace.WriteLive && !live
			one.On = !one.Off
			d.Permissions = append(d.Permissions, one)
		}
	}
	f.Title, f.Data = "Allow "+q.Name+"?", d
	// The answer to the form leads to the client, which a policy for forms has to allow.
	w.Header().Set("Content-Security-Policy", strings.Replace(pagePolicy, "form-action 'self'", "form-action 'self' "+q.Source(), 1))
	w.Header().Set("X-Frame-Options", "DENY")
	return "consent.html", nil
}

// decide takes the answer. The question is in the form, signed for the person whom it was put to.
func (p *pages) decide(w http.ResponseWriter, r *http.Request, f *frame) (string, error) {
	r.Body = http.MaxBytesReader(w, r.Body, 32<<10)
	if err := r.ParseForm(); err != nil {
		return "", fault.New(fault.Invalid, "the form could not be read")
	}
	q, err := p.s.o.OAuth.Open(r.PostForm.Get("request"), p.s.sessions.of(r).ID)
	if err != nil {
		return "", err
	}
	switch r.PostForm.Get("decision") {
	case "deny":
		leave(w, r, p.s.o.OAuth.Deny(q))
		return "", nil
	case "allow":
	default:
		return "", fault.New(fault.Invalid, "the form says neither allow nor deny")
	}
	place, err := strconv.ParseInt(r.PostForm.Get("place"), 10, 64)
	if err != nil || !slices.ContainsFunc(f.Workspaces, func(w workspace.Workspace) bool { return w.ID == place }) {
		return "", fault.New(fault.NotFound, "there is no such workspace")
	}
	policy, err := p.s.o.Store.AgentPolicy(r.Context(), place)
	if err != nil {
		return "", err
	}
	scopes := slices.DeleteFunc(slices.Clone(r.PostForm["scope"]), func(s string) bool { return s == workspace.WriteLive && !policy.Live })
	if len(scopes) == 0 {
		return p.ask(w, r, f, q, consentData{Error: "Leave at least one permission that the workspace allows, or deny.", Chosen: place})
	}
	to, err := p.s.o.OAuth.Allow(r.Context(), q, place, scopes)
	if err != nil {
		return "", err
	}
	leave(w, r, to)
	return "", nil
}

// leave sends the person back to the client.
func leave(w http.ResponseWriter, r *http.Request, to string) {
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	w.Header().Set("X-Frame-Options", "DENY")
	http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // one of the client's addresses, as it was registered
}
