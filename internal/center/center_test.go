package center_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"rapport.example/internal/api/apitest"
	"rapport.example/internal/center"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

const file = `schema: 1
workspace: acme
topics:
  - {id: news, name: "News & <b>more</b>", description: once a month, languages: {de: {name: Neues}}}
  - {id: offers, name: Offers, subscribed_by_default: false}
`

// page is the subscription center over a World.
type page struct {
	*apitest.World
	t      *testing.T
	signer *center.Signer
	h      http.Handler
	ahead  time.Duration
}

func open(t *testing.T, db *store.DB) *page {
	t.Helper()
	p := &page{World: apitest.New(t, db), t: t, signer: center.NewSigner(db.Secret(), "https://mail.example.com/")}
	p.h = center.NewHandler(center.Options{
		Store: db, Signer: p.signer, Fresh: p.Fresh, Now: func() time.Time { return p.Now().Add(p.ahead) }, Log: slog.New(slog.DiscardHandler),
		Change: func(_ context.Context, _ int64, pl ingest.IdentifyPayload) error {
			p.Do(p.Op(ingest.Identify, pl))
			return nil
		},
	})
	p.Define(file)
	return p
}

func (p *page) person(id string) *person.Document {
	p.t.Helper()
	p.Fresh(p.t.Context(), p.Workspace.ID)
	d, err := p.DB.FindPerson(p.t.Context(), p.Workspace.ID, person.Identifier{Type: person.ByID, Value: id})
	if err != nil || d == nil {
		p.t.Fatalf("%s: %v, %v", id, d, err)
	}
	return d
}

func (p *page) ask(method, address string, form url.Values, status int, languages ...string) string {
	p.t.Helper()
	r := httptest.NewRequestWithContext(p.t.Context(), method, strings.TrimPrefix(address, "https://mail.example.com"), strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header["Accept-Language"] = languages
	w := httptest.NewRecorder()
	p.h.ServeHTTP(w, r)
	if w.Code != status || w.Header().Get("Cache-Control") != "no-store" || !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
		p.t.Fatalf("%s %s = %d %v, want %d", method, address, w.Code, w.Header(), status)
	}
	b, err := io.ReadAll(w.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

// TestCenter walks the page as a person does: reads it, leaves a topic, joins another, leaves everything, comes back.
func TestCenter(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := open(t, db)
		p.Do(p.Identify("ada", `{"email":"ada@example.com"}`), p.Identify("bob", `{}`))
		_, link := p.signer.Link(p.Workspace.ID, p.person("ada").CIO, p.Now())
		html := p.ask(http.MethodGet, link, nil, 200)
		for _, want := range []string{
			`name="topic_1" value="on" checked`, `name="topic_2" value="on">`, `News &amp; &lt;b&gt;more&lt;/b&gt;`, `once a month`, "Unsubscribe from everything",
		} {
			if !strings.Contains(html, want) {
				t.Errorf("the page lacks %s:\n%s", want, html)
			}
		}
		if german := p.ask(http.MethodGet, link, nil, 200, "de-CH,en;q=0.5"); !strings.Contains(german, "Neues") || strings.Contains(german, "News") {
			t.Errorf("the page in German:\n%s", german)
		}
		if strings.Contains(html, "ada@example.com") {
			t.Error("the page shows an address to whoever has the link")
		}
		check := func(step string, unsubscribed bool, preferences string) {
			t.Helper()
			if d := p.person("ada"); d.Unsubscribed != unsubscribed || string(d.Get(person.Preferences)) != preferences {
				t.Errorf("%s: unsubscribed %v, %s; want %v, %s", step, d.Unsubscribed, d.Get(person.Preferences), unsubscribed, preferences)
			}
		}
		html = p.ask(http.MethodPost, link, url.Values{"topic_2": {"on"}, "topic_9": {"on"}, "unsubscribed": {"x"}}, 200)
		if !strings.Contains(html, "Your choice is saved") || !strings.Contains(html, `name="topic_2" value="on" checked`) {
			t.Errorf("after the choice:\n%s", html)
		}
		check("a choice", false, `{"topics":{"topic_1":false,"topic_2":true}}`)
		html = p.ask(http.MethodPost, link, url.Values{"all": {"off"}}, 200)
		check("nothing at all", true, `{"topics":{"topic_1":false,"topic_2":true}}`)
		if !strings.Contains(html, "You are unsubscribed from everything") || strings.Contains(html, "Unsubscribe from everything") {
			t.Errorf("after leaving:\n%s", html)
		}
		p.ask(http.MethodPost, link, url.Values{"topic_1": {"on"}}, 200)
		check("back again", false, `{"topics":{"topic_1":true,"topic_2":false}}`)
		if d := p.person("bob"); d.Get(person.Preferences) != nil {
			t.Errorf("somebody else's: %s", d.Get(person.Preferences))
		}
	})
}

// TestLinks holds that only whole links work, for a day, and only while the person is there.
func TestLinks(t *testing.T) {
	t.Parallel()
	p := open(t, storetest.Open(t, storetest.Options(t, storetest.SQLite)))
	p.Do(p.Identify("ada", `{}`))
	token, link := p.signer.Link(p.Workspace.ID, p.person("ada").CIO, p.Now())
	if link != "https://mail.example.com/u/i/"+token+"/" {
		t.Errorf("link %s", link)
	}
	for i := range token {
		c := byte('A')
		if token[i] == 'A' {
			c = 'B'
		}
		p.ask(http.MethodGet, center.Path+token[:i]+string(c)+token[i+1:]+"/", nil, 404)
	}
	_, other := p.signer.Link(p.Workspace.ID+1, p.person("ada").CIO, p.Now())
	for _, bad := range []string{center.Path, center.Path + token[:len(token)-1] + "/", center.Path + strings.Repeat("A", 5000), other} {
		p.ask(http.MethodGet, bad, nil, 404)
		p.ask(http.MethodPost, bad, url.Values{"all": {"off"}}, 404)
	}
	p.ask(http.MethodPut, link, nil, 405)
	p.ahead = center.LinkFor - time.Minute
	p.ask(http.MethodGet, link, nil, 200)
	p.ahead = center.LinkFor + time.Minute
	p.ask(http.MethodGet, link, nil, 410)
	p.ask(http.MethodPost, link, url.Values{"all": {"off"}}, 410)
	p.ahead = 0
	if p.person("ada").Unsubscribed {
		t.Error("a link that does not work unsubscribed somebody")
	}
	p.Do(p.Op(ingest.Delete, ingest.PersonPayload{By: ingest.By{ID: "ada"}}))
	p.ask(http.MethodGet, link, nil, 404)
	p.ask(http.MethodPost, link, url.Values{"all": {"off"}}, 404)
}
