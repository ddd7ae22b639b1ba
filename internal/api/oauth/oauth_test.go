package oauth_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"rapport.example/internal/api"
	"rapport.example/internal/api/admin"
	"rapport.example/internal/api/oauth"
	"rapport.example/internal/fault"
	"rapport.example/internal/imports"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/workspace"
)

const (
	base     = "https://rapport.test"
	redirect = "http://127.0.0.1:4711/callback"
	verifier = "a-verifier-of-forty-three-characters-or-more-0123"
)

// site is an authorization server with its pages, and a client called desk.
type site struct {
	t      *testing.T
	db     *store.DB
	keys   *api.Keys
	oauth  *oauth.Server
	http   http.Handler
	now    time.Time
	cookie *http.Cookie
	others []*site // nodes of the same installation
}

func newSite(t *testing.T, db *store.DB, client *http.Client) *site {
	t.Helper()
	ctx := t.Context()
	if err := db.EnsurePartitions(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := db.CreateWorkspace(ctx, "acme", -1); err != nil {
		t.Fatal(err)
	}
	for kind, secret := range map[workspace.Kind]string{workspace.Admin: "the-admin-key", workspace.App: "the-app-key"} {
		if _, err := db.CreateCredential(ctx, admin.Credential(kind, 1, "test", secret)); err != nil {
			t.Fatal(err)
		}
	}
	s := node(t, db, client)
	if err := s.oauth.Add(ctx, oauth.Client{ID: "desk", Redirects: []string{redirect, "https://desk.test/cb"}}); err != nil {
		t.Fatal(err)
	}
	w := s.do(http.MethodPost, "/login", url.Values{"key": {"the-admin-key"}})
	s.cookie = w.Result().Cookies()[0]
	return s
}

// node is a server of an installation that is there. Nodes hear from each other what became of keys.
func node(t *testing.T, db *store.DB, client *http.Client) *site {
	t.Helper()
	s := &site{t: t, db: db, now: time.Now()}
	now := func() time.Time { return s.now }
	log := slog.New(slog.DiscardHandler)
	s.keys = api.NewKeys(api.KeyOptions{Store: db, Log: log, Announce: func(gone []int64) error {
		for _, other := range s.others {
			other.keys.Heard(gone)
		}
		return nil
	}})
	if err := s.keys.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if client == nil {
		client = &http.Client{Transport: &http.Transport{DialContext: imports.Dialer(""), DisableKeepAlives: true}}
	}
	s.oauth = oauth.New(oauth.Options{Store: db, Keys: s.keys, Secret: db.Secret(), Now: now, Log: log, Base: base, Fixed: true, Client: client})
	pages := admin.New(admin.Options{Store: db, Keys: s.keys, Secret: db.Secret(), Now: now, Logger: log, BaseURL: base, OAuth: s.oauth}).Pages()
	mux := http.NewServeMux()
	s.oauth.Routes(mux)
	mux.Handle("/", pages)
	s.http = mux
	return s
}

// do makes a request as the browser of the operator would, or as a client.
func (s *site) do(method, target string, form url.Values, change ...func(*http.Request)) *httptest.ResponseRecorder {
	s.t.Helper()
	var body io.Reader = http.NoBody
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequestWithContext(s.t.Context(), method, base+target, body)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if s.cookie != nil && !strings.HasPrefix(target, oauth.TokenPath) {
		r.AddCookie(s.cookie)
	}
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	s.http.ServeHTTP(w, r)
	return w
}

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// asked are the parameters of a good authorization request, with changes; an empty value takes one away.
func asked(changes ...string) url.Values {
	q := url.Values{
		"response_type": {"code"}, "client_id": {"desk"}, "redirect_uri": {redirect}, "state": {"xyz"}, "scope": {"read write"}, "code_challenge": {challenge()},
		"code_challenge_method": {"S256"}, "resource": {base + "/mcp"},
	}
	for i := 0; i+1 < len(changes); i += 2 {
		q.Set(changes[i], changes[i+1])
		if changes[i+1] == "" {
			q.Del(changes[i])
		}
	}
	return q
}

var sealed = regexp.MustCompile(`name="request" value="([^"]+)"`)

// consent opens the page and answers it; it returns where that leads.
func (s *site) consent(q url.Values, answer url.Values) (location *url.URL, status int) {
	s.t.Helper()
	w := s.do(http.MethodGet, oauth.AuthorizePath+"?"+q.Encode(), nil)
	if w.Code == http.StatusOK {
		m := sealed.FindStringSubmatch(w.Body.String())
		if m == nil {
			s.t.Fatalf("no question in %s", w.Body)
		}
		answer.Set("request", m[1])
		w = s.do(http.MethodPost, oauth.AuthorizePath, answer)
	}
	to, err := url.Parse(w.Header().Get("Location"))
	if err != nil {
		s.t.Fatal(err)
	}
	return to, w.Code
}

func allow(scopes ...string) url.Values {
	return url.Values{"decision": {"allow"}, "place": {"1"}, "scope": scopes}
}

// TestPlaces: where there is one workspace it is named and nothing is chosen; where there are several, one is.
func TestPlaces(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.Options(t, storetest.SQLite))
	s := newSite(t, db, nil)
	page := func() string {
		return s.do(http.MethodGet, oauth.AuthorizePath+"?"+asked().Encode(), nil).Body.String()
	}
	if got := page(); strings.Contains(got, `type="radio"`) || !strings.Contains(got, `<input type="hidden" name="place" value="1">`) || !strings.Contains(got, "agents may not act on live data") {
		t.Errorf("with one workspace: %s", got)
	}
	if _, err := db.CreateWorkspace(t.Context(), "Other", -1); err != nil {
		t.Fatal(err)
	}
	if got := page(); strings.Count(got, `type="radio" name="place"`) != 2 || strings.Contains(got, `type="hidden" name="place"`) {
		t.Errorf("with two workspaces: %s", got)
	}
}

// code is a code of a request that was allowed.
func (s *site) code() string {
	s.t.Helper()
	to, status := s.consent(asked(), allow("read", "write"))
	if status != http.StatusSeeOther || to.Query().Get("code") == "" {
		s.t.Fatalf("allowing answers %d %s", status, to)
	}
	return to.Query().Get("code")
}

type answer struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Scope   string `json:"scope"`
	Error   string `json:"error"`
}

// token asks the token endpoint.
func (s *site) token(form url.Values) (out answer, status int) {
	s.t.Helper()
	w := s.do(http.MethodPost, oauth.TokenPath, form)
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		s.t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return out, w.Code
}

// exchange are the parameters for a code, with changes.
func exchange(code string, changes ...string) url.Values {
	f := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "client_id": {"desk"}, "redirect_uri": {redirect}, "code_verifier": {verifier}, "resource": {base + "/mcp"}}
	for i := 0; i+1 < len(changes); i += 2 {
		f.Set(changes[i], changes[i+1])
		if changes[i+1] == "" {
			f.Del(changes[i])
		}
	}
	return f
}

func refresh(token string, changes ...string) url.Values {
	f := exchange("", changes...)
	f.Set("grant_type", "refresh_token")
	f.Set("refresh_token", token)
	return f
}

// good tells whether an access token is good.
func (s *site) good(token string) bool {
	_, err := s.keys.Secret(workspace.Agent, token, s.now)
	return err == nil
}

// wants checks an answer of the token endpoint.
func (s *site) wants(what string, form url.Values, status int, problem string) answer {
	s.t.Helper()
	out, got := s.token(form)
	if got != status || out.Error != problem {
		s.t.Errorf("%s: %d %s, want %d %s", what, got, out.Error, status, problem)
	}
	return out
}

// TestGrant: what a person agrees to becomes an agent key of the workspace, with no more than they left; tokens are renewed, and end.
func TestGrant(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db, nil)
		to, _ := s.consent(asked("scope", "read write read:sensitive"), allow("read", "write"))
		if to.Query().Get("iss") != base || to.Query().Get("state") != "xyz" || to.Host != "127.0.0.1:4711" {
			t.Errorf("the answer goes to %s", to)
		}
		first := s.wants("a code", exchange(to.Query().Get("code")), 200, "")
		a, err := s.keys.Secret(workspace.Agent, first.Access, s.now)
		if err != nil {
			t.Fatal(err)
		}
		c := a.Credential
		if c.Client != "desk" || c.Audience != base+"/mcp" || c.Workspace != 1 || !slices.Equal(c.Scopes, []string{"read", "write"}) || c.Approved == 0 || first.Scope != "read write" {
			t.Errorf("the grant is %+v, %+v", c, first)
		}
		narrow := s.wants("a refresh for less", refresh(first.Refresh, "scope", "read"), 200, "")
		if narrow.Scope != "read" || s.good(first.Access) || !s.good(narrow.Access) {
			t.Errorf("after the refresh: %+v", narrow)
		}
		next := s.wants("a refresh for all that was agreed to", refresh(narrow.Refresh), 200, "")
		if next.Scope != "read write" {
			t.Errorf("scope %s", next.Scope)
		}
		s.now = s.now.Add(time.Hour)
		if s.good(next.Access) {
			t.Error("a token is good after its hour")
		}
		last := s.wants("a refresh after the hour", refresh(next.Refresh), 200, "")
		if w := s.do(http.MethodPost, oauth.RevokePath, url.Values{"token": {last.Refresh}, "client_id": {"other"}}); w.Code != 200 || !s.good(last.Access) {
			t.Error("another client ended the grant")
		}
		if w := s.do(http.MethodPost, oauth.RevokePath, url.Values{"token": {last.Refresh}, "client_id": {"desk"}}); w.Code != 200 || s.good(last.Access) {
			t.Errorf("revoking answers %d and leaves the token good", w.Code)
		}
		s.wants("a refresh of an ended grant", refresh(last.Refresh), 400, "invalid_grant")
		log, err := db.Audit(t.Context(), 1, 0, false, 100)
		if err != nil || len(log) < 4 || log[0].Client != "desk" || log[0].Tool != "oauth" || log[0].Key != c.ID {
			t.Errorf("the record is %+v, %v", log, err)
		}
	})
}

// TestCodes: a code is good once, for a minute, for whom and what it was made; a thief's second try ends what the first one got.
func TestCodes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db, nil)
		for _, tt := range []struct {
			name, problem string
			change        []string
		}{
			{"without the verifier", "invalid_grant", []string{"code_verifier", ""}},
			{"with the challenge for a verifier, as plain would be", "invalid_grant", []string{"code_verifier", challenge()}},
			{"of another client", "invalid_grant", []string{"client_id", "other"}},
			{"for another address", "invalid_grant", []string{"redirect_uri", "https://desk.test/cb"}},
			{"for another resource", "invalid_target", []string{"resource", "https://elsewhere.test/mcp"}},
			{"for a resource beneath", "invalid_target", []string{"resource", base + "/mcp/readonly"}},
		} {
			out, status := s.token(exchange(s.code(), tt.change...))
			if status != 400 || out.Error != tt.problem {
				t.Errorf("%s: %d %s, want 400 %s", tt.name, status, out.Error, tt.problem)
			}
		}
		late := s.code()
		s.now = s.now.Add(time.Minute)
		s.wants("after a minute", exchange(late), 400, "invalid_grant")
		code := s.code()
		got := s.wants("the first time", exchange(code), 200, "")
		s.wants("the second time", exchange(code), 400, "invalid_grant")
		if s.good(got.Access) {
			t.Error("a code that came twice leaves its token good")
		}
		s.wants("the refresh token of a code that came twice", refresh(got.Refresh), 400, "invalid_grant")
		s.wants("a guess", exchange("guess"), 400, "invalid_grant")
	})
}

// TestStolenRefresh: a refresh token that comes a second time ends the whole family, the newest tokens too, and the record tells.
func TestStolenRefresh(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db, nil)
		first := s.wants("a code", exchange(s.code()), 200, "")
		s.wants("more than was agreed to", refresh(first.Refresh, "scope", "read audit"), 400, "invalid_scope")
		s.wants("another client's", refresh(first.Refresh, "client_id", "other"), 400, "invalid_grant")
		thief := s.wants("the thief", refresh(first.Refresh), 200, "")
		s.wants("the owner", refresh(first.Refresh), 400, "invalid_grant")
		if s.good(thief.Access) {
			t.Error("the thief's token is good")
		}
		s.wants("the thief again", refresh(thief.Refresh), 400, "invalid_grant")
		log, err := db.Audit(t.Context(), 1, 0, true, 1)
		if err != nil || len(log) != 1 || log[0].Rule != "refresh_reused" || log[0].Outcome != "refused" {
			t.Errorf("the record is %+v, %v", log, err)
		}
	})
}

// TestRequests: what a client may not ask for goes back to it with who says so, or, where the address cannot be trusted, nowhere.
func TestRequests(t *testing.T) {
	t.Parallel()
	s := newSite(t, storetest.Open(t, storetest.Options(t, storetest.SQLite)), nil)
	for _, tt := range []struct {
		name, problem string // "" = the person sees an error and stays
		change        []string
	}{
		{"PKCE plain", "invalid_request", []string{"code_challenge_method", "plain"}},
		{"no method, which would be plain", "invalid_request", []string{"code_challenge_method", ""}},
		{"no challenge", "invalid_request", []string{"code_challenge", ""}},
		{"a short challenge", "invalid_request", []string{"code_challenge", "abc"}},
		{"the implicit flow", "unsupported_response_type", []string{"response_type", "token"}},
		{"another server's resource", "invalid_target", []string{"resource", "https://elsewhere.test/mcp"}},
		{"a resource like ours", "invalid_target", []string{"resource", base + ".elsewhere.test/mcp"}},
		{"the App API", "invalid_target", []string{"resource", base + "/v1"}},
		{"a way out of the resource", "invalid_target", []string{"resource", base + "/mcp/../v1"}},
		{"to approve", "invalid_scope", []string{"scope", "read approve"}},
		{"an unknown client", "", []string{"client_id", "nobody"}},
		{"another address", "", []string{"redirect_uri", "https://evil.test/cb"}},
		{"a longer address", "", []string{"redirect_uri", "https://desk.test/cb/more"}},
		{"an address with a query", "", []string{"redirect_uri", "https://desk.test/cb?x=1"}},
		{"another path on this machine", "", []string{"redirect_uri", "http://127.0.0.1:4711/other"}},
		{"another name of this machine", "", []string{"redirect_uri", "http://localhost:4711/callback"}},
		{"a name in front", "", []string{"redirect_uri", "http://127.0.0.1:1@evil.test/callback"}},
		{"a fragment", "", []string{"redirect_uri", redirect + "#x"}},
	} {
		to, status := s.consent(asked(tt.change...), allow("read"))
		if tt.problem == "" {
			if status != 400 || to.String() != "" {
				t.Errorf("%s: %d %s, want an error page", tt.name, status, to)
			}
			continue
		}
		if q := to.Query(); status != 303 || q.Get("error") != tt.problem || q.Get("iss") != base || q.Get("code") != "" || q.Get("state") != "xyz" {
			t.Errorf("%s: %d %s, want %s", tt.name, status, to, tt.problem)
		}
	}
	if to, status := s.consent(asked("redirect_uri", "http://127.0.0.1:9/callback"), allow("read")); status != 303 || to.Host != "127.0.0.1:9" || to.Query().Get("code") == "" {
		t.Errorf("another port on this machine: %d %s", status, to)
	}
	if to, _ := s.consent(asked(), url.Values{"decision": {"deny"}}); to.Query().Get("error") != "access_denied" || to.Query().Get("iss") != base {
		t.Errorf("denied leads to %s", to)
	}
	twice := asked()
	twice.Add("client_id", "desk")
	if _, status := s.consent(twice, allow("read")); status != 400 {
		t.Errorf("two clients at once are answered %d", status)
	}
}

// TestConsentPage: the page cannot be framed, answered from another site, by somebody else, after a while, or for more than was asked.
func TestConsentPage(t *testing.T) {
	t.Parallel()
	s := newSite(t, storetest.Open(t, storetest.Options(t, storetest.SQLite)), nil)
	page := s.do(http.MethodGet, oauth.AuthorizePath+"?"+asked("scope", "read write:live").Encode(), nil)
	if h := page.Header(); !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") || h.Get("X-Frame-Options") != "DENY" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("the page may be framed or kept: %v", h)
	}
	if !strings.Contains(page.Header().Get("Content-Security-Policy"), "form-action 'self' http://127.0.0.1:4711;") {
		t.Errorf("the policy is %s", page.Header().Get("Content-Security-Policy"))
	}
	if !regexp.MustCompile(`value="write:live" disabled`).MatchString(page.Body.String()) || !strings.Contains(page.Body.String(), "Check that you started this") {
		t.Errorf("the page is %s", page.Body)
	}
	question := sealed.FindStringSubmatch(page.Body.String())[1]
	send := func(change func(url.Values), header ...string) *httptest.ResponseRecorder {
		f := allow("read")
		f.Set("request", question)
		change(f)
		return s.do(http.MethodPost, oauth.AuthorizePath, f, func(r *http.Request) {
			for i := 0; i+1 < len(header); i += 2 {
				r.Header.Set(header[i], header[i+1])
			}
		})
	}
	same := func(url.Values) {}
	if w := send(same, "Sec-Fetch-Site", "cross-site"); w.Code != 403 {
		t.Errorf("a page of another site answers for the person: %d", w.Code)
	}
	if w := send(same, "Origin", "https://evil.test"); w.Code != 403 {
		t.Errorf("a page of another origin answers for the person: %d", w.Code)
	}
	if w := send(func(f url.Values) { f.Del("request") }); w.Code != 403 {
		t.Errorf("an answer without the question: %d", w.Code)
	}
	if w := send(func(f url.Values) { f.Set("request", question[:len(question)-4]+"AAAA") }); w.Code != 403 {
		t.Errorf("a question that was changed: %d", w.Code)
	}
	if w := send(func(f url.Values) { f.Add("scope", "write") }); w.Code != 400 {
		t.Errorf("more than was asked: %d", w.Code)
	}
	if w := send(func(f url.Values) { f.Set("scope", "write:live") }); w.Code != 200 || !strings.Contains(w.Body.String(), "at least one permission") {
		t.Errorf("live data where the workspace has none for agents: %d", w.Code)
	}
	if w := send(func(f url.Values) { f.Set("place", "2") }); w.Code != 404 {
		t.Errorf("another workspace: %d", w.Code)
	}
	if err := s.db.SetAgentPolicy(t.Context(), 1, workspace.AgentPolicy{Live: true}); err != nil {
		t.Fatal(err)
	}
	if w := send(func(f url.Values) { f.Set("scope", "write:live") }); w.Code != 303 {
		t.Errorf("live data where the workspace allows it: %d", w.Code)
	}
	s.now = s.now.Add(16 * time.Minute)
	if w := send(same); w.Code != 403 {
		t.Errorf("an answer after 16 minutes: %d", w.Code)
	}
	s.cookie = nil
	if w := s.do(http.MethodGet, oauth.AuthorizePath+"?"+asked().Encode(), nil); w.Code != 303 || !strings.HasPrefix(w.Header().Get("Location"), "/login?next=") {
		t.Errorf("whoever is not signed in: %d %s", w.Code, w.Header().Get("Location"))
	}
	if w := send(same); w.Code != 303 || !strings.HasPrefix(w.Header().Get("Location"), "/login") {
		t.Errorf("an answer of whoever is not signed in: %d", w.Code)
	}
}

// TestDescribedClients: a client's description is read from where its id says, and only from the internet, of bounded size, and its own.
func TestDescribedClients(t *testing.T) {
	t.Parallel()
	var web *httptest.Server
	asks := 0
	web = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		self := web.URL + r.URL.Path
		good := map[string]any{"client_id": self, "client_name": "Desk", "redirect_uris": []string{redirect}}
		switch r.URL.Path {
		case "/good":
			asks++
		case "/away":
			http.Redirect(w, r, "/good", http.StatusFound)
			return
		case "/other":
			good["client_id"] = web.URL + "/good"
		case "/secret":
			good["token_endpoint_auth_method"] = "client_secret_basic"
		case "/script":
			good["redirect_uris"] = []string{"javascript:alert(1)"}
		case "/plain":
			good["redirect_uris"] = []string{"http://desk.test/cb"}
		case "/long":
			good["client_name"] = strings.Repeat("x", 20_000)
		default:
			http.NotFound(w, r)
			return
		}
		if err := json.NewEncoder(w).Encode(good); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(web.Close)
	db := storetest.Open(t, storetest.Options(t, storetest.SQLite))
	s := newSite(t, db, web.Client())
	for _, path := range []string{"/away", "/other", "/secret", "/script", "/plain", "/long", "/missing", "", "/", "/good#x", "/a/../good"} {
		if c, err := s.oauth.Client(t.Context(), web.URL+path); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s is client %+v, %v", path, c, err)
		}
	}
	for range 3 {
		if c, err := s.oauth.Client(t.Context(), web.URL+"/good"); err != nil || c.Name != "Desk" {
			t.Errorf("a good client is %+v, %v", c, err)
		}
	}
	if asks != 1 {
		t.Errorf("a description is read %d times within ten minutes", asks)
	}
	if _, err := s.oauth.Client(t.Context(), strings.Replace(web.URL, "https:", "http:", 1)+"/good"); !fault.Is(err, fault.Invalid) {
		t.Errorf("a description over plain http: %v", err)
	}
	to, status := s.consent(asked("client_id", web.URL+"/good"), allow("read"))
	if status != 303 {
		t.Fatalf("a described client is answered %d", status)
	}
	s.wants("its code", exchange(to.Query().Get("code"), "client_id", web.URL+"/good"), 200, "")

	guarded := web.Client().Transport.(*http.Transport).Clone()
	guarded.DialContext = imports.Dialer("")
	closed := oauth.New(oauth.Options{Store: db, Keys: s.keys, Secret: db.Secret(), Now: time.Now, Log: slog.New(slog.DiscardHandler), Base: base, Client: &http.Client{Transport: guarded}})
	_, port, err := net.SplitHostPort(web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1:" + port, "localhost:" + port, "169.254.169.254", "10.0.0.1", "[::1]:" + port, "[fd00::1]", "0.0.0.0:" + port} {
		if _, err := closed.Client(t.Context(), "https://"+host+"/good"); !fault.Is(err, fault.Invalid) {
			t.Errorf("a description inside the operator's network, at %s: %v", host, err)
		}
	}
	if asks != 1 {
		t.Error("a description inside the operator's network was read")
	}
}

// TestRemovedClient: what a client was granted ends with its registration.
func TestRemovedClient(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db, nil)
		waiting, got := s.code(), s.wants("a code", exchange(s.code()), 200, "")
		if err := s.oauth.Remove(t.Context(), "desk"); err != nil {
			t.Fatal(err)
		}
		if s.good(got.Access) {
			t.Error("the token of a removed client is good")
		}
		s.wants("its refresh token", refresh(got.Refresh), 400, "invalid_grant")
		s.wants("its code", exchange(waiting), 401, "invalid_client")
		if _, status := s.consent(asked(), allow("read")); status != 400 {
			t.Errorf("a removed client is answered %d", status)
		}
	})
}

// TestMetadata: what clients look up says what is true.
func TestMetadata(t *testing.T) {
	t.Parallel()
	s := newSite(t, storetest.Open(t, storetest.Options(t, storetest.SQLite)), nil)
	for path, resource := range map[string]string{"": "/mcp", "/mcp": "/mcp", "/mcp/readonly": "/mcp/readonly", "/mcp/x/people,raw": "/mcp/x/people,raw"} {
		w := s.do(http.MethodGet, "/.well-known/oauth-protected-resource"+path, nil)
		var m struct {
			Resource string   `json:"resource"`
			Servers  []string `json:"authorization_servers"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil || m.Resource != base+resource || !slices.Equal(m.Servers, []string{base}) {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
	if w := s.do(http.MethodGet, "/.well-known/oauth-protected-resource/v1", nil); w.Code != 404 {
		t.Errorf("metadata of no resource: %d", w.Code)
	}
	var m map[string]any
	w := s.do(http.MethodGet, "/.well-known/oauth-authorization-server", nil)
	if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil || m["issuer"] != base || m["registration_endpoint"] != nil || m["client_id_metadata_document_supported"] != true {
		t.Errorf("metadata %s", w.Body)
	}
}

// TestTooManyTokens: whoever guesses codes is turned away before anything is looked up.
func TestTooManyTokens(t *testing.T) {
	t.Parallel()
	l := api.NewLimiter(api.Limits{Open: 2})
	s := oauth.New(oauth.Options{
		Client: &http.Client{}, Now: time.Now, Base: base, Log: slog.New(slog.DiscardHandler),
		Allow: func(w http.ResponseWriter, r *http.Request) error {
			return l.AllowAddress(w.Header(), r.RemoteAddr, time.Unix(1767312000, 0))
		},
	})
	mux := http.NewServeMux()
	s.Routes(mux)
	for _, want := range []int{400, 400, 429} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, oauth.TokenPath, strings.NewReader("")))
		if w.Code != want {
			t.Errorf("answered %d, want %d", w.Code, want)
		}
	}
}
