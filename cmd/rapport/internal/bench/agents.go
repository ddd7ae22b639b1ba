package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/sync/errgroup"

	"rapport.example/internal/audit"
	"rapport.example/internal/mcp"
	"rapport.example/internal/workspace"
)

const (
	agents   = 50  // at once
	calm     = 4   // calls a second of each, where they do not call as fast as they can
	acquaint = 200 // people they ask about
)

// agents measures what a tool call costs over the call of the API that it makes, and that a crowd of agents keeps to the vendor's limits.
func (x *run) agents(ctx context.Context) error {
	for _, part := range []struct {
		limits  string
		measure func(context.Context, *child) error
	}{{"off", x.toolCalls}, {"vendor", x.crowd}} {
		db, err := x.database(ctx, "mcp_"+part.limits)
		if err != nil {
			return err
		}
		c, err := x.spawn(ctx, filepath.Join(x.dir, "mcp-"+part.limits), db.url, "127.0.0.1:1", "--limits", part.limits)
		if err != nil {
			return err
		}
		err = x.acquaint(ctx, c)
		for i := 0; i < x.o.Rounds && err == nil; i++ {
			err = part.measure(ctx, c)
		}
		if err = errors.Join(err, c.stop()); err != nil {
			return err
		}
	}
	return nil
}

// acquaint makes the people that agents ask about.
func (x *run) acquaint(ctx context.Context, c *child) error {
	var ops []map[string]any
	for i := range acquaint {
		ops = append(ops, map[string]any{
			"type": "person", "action": "identify", "identifiers": map[string]any{"id": fmt.Sprint("u", i)},
			"attributes": map[string]any{"email": fmt.Sprintf("u%d@example.com", i), "plan": "pro", "first_name": "Ada"},
		})
	}
	b, err := json.Marshal(map[string]any{"batch": ops})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.addr+"/api/v2/batch", bytes.NewReader(b))
	if err != nil {
		return err
	}
	user, password, _ := strings.Cut(c.basic, ":")
	r.SetBasicAuth(user, password)
	res, err := connections.RoundTrip(r)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read only
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the people were not taken: %s", res.Status)
	}
	return nil
}

// connections are as many as there are agents, so that none is made anew.
var connections = &http.Transport{MaxIdleConnsPerHost: 4 * agents}

// apart takes the time of the requests that tools make for their answers, by agent, each of whom makes one call at a time and asks about
// people of its own. The request that records the call is part of what a tool costs.
type apart struct{ spent [agents]atomic.Int64 }

// RoundTrip is part of http.RoundTripper.
func (a *apart) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	res, err := connections.RoundTrip(r)
	if of, ok := strings.CutPrefix(r.URL.Path, "/v1/customers/u"); ok {
		n, wrong := strconv.Atoi(strings.TrimSuffix(of, "/attributes"))
		err = errors.Join(err, wrong)
		a.spent[n%agents].Add(int64(time.Since(began)))
	}
	return res, err
}

// subject is whom an agent asks about, of people that no other agent asks about.
func subject(agent, n int) string { return fmt.Sprint("u", agent+agents*(n%(acquaint/agents))) }

// together has so many agents do something over and over for the time of a row, each so many times a second or, with 0, as fast as it
// goes, and answers what they told of each, in order.
func (x *run) together(ctx context.Context, rate float64, do func(ctx context.Context, agent, n int) (time.Duration, error)) ([]time.Duration, error) {
	begin := time.Now()
	end := begin.Add(x.o.Load)
	var mu sync.Mutex
	var all []time.Duration
	g, ctx := errgroup.WithContext(ctx)
	for agent := range agents {
		g.Go(func() error {
			var own []time.Duration
			for n := 0; time.Now().Before(end); n++ {
				if rate > 0 { // spread evenly over the agents
					due := begin.Add(time.Duration((float64(n) + float64(agent)/agents) / rate * float64(time.Second)))
					if err := pause(ctx, time.Until(due)); err != nil {
						return err
					}
				}
				d, err := do(ctx, agent, n)
				if err != nil {
					return err
				}
				own = append(own, d)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, own...)
			return nil
		})
	}
	err := g.Wait()
	slices.Sort(all)
	return all, err
}

func (x *run) toldAgents(name string, all []time.Duration) {
	x.r.add(key{name + ": p50", agents, "ms"}, ms(quantile(all, 0.5)))
	x.r.add(key{name + ": p99", agents, "ms"}, ms(quantile(all, 0.99)))
	x.r.add(key{name, agents, "calls/s"}, float64(len(all))/x.o.Load.Seconds())
}

// used calls a tool; an error that it answers is one.
func used(ctx context.Context, s *sdk.ClientSession, tool string, args map[string]any) error {
	res, err := s.CallTool(ctx, &sdk.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		return fmt.Errorf("%s: %w", tool, err)
	}
	if res.IsError {
		return fmt.Errorf("%s: %v", tool, res.StructuredContent)
	}
	return nil
}

// toolCalls measures one read of the API as it is, as a tool in this process, and as a tool of the server.
func (x *run) toolCalls(ctx context.Context, c *child) error {
	var secret struct{ Secret string }
	if err := c.call(ctx, http.MethodPost, "keys", map[string]any{"kind": "agent", "name": "bench", "scopes": []string{"read"}}, &secret); err != nil {
		return err
	}
	plain, err := x.together(ctx, 0, func(ctx context.Context, agent, n int) (time.Duration, error) {
		began := time.Now()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.addr+"/v1/customers/"+subject(agent, n)+"/attributes", http.NoBody)
		if err != nil {
			return 0, err
		}
		r.Header.Set("Authorization", "Bearer "+secret.Secret)
		res, err := connections.RoundTrip(r)
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(io.Discard, res.Body)
		return time.Since(began), errors.Join(err, res.Body.Close())
	})
	if err != nil {
		return fmt.Errorf("API calls: %w", err)
	}
	x.toldAgents("API call", plain)

	var local, remote [agents]*caller
	var times apart
	s, err := mcp.New(mcp.Options{
		URL: "http://" + c.addr, Key: secret.Secret, Scopes: []string{workspace.Read}, Secret: []byte("bench"), Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		Transport: &times,
	})
	if err != nil {
		return err
	}
	for i := range agents { // half of them of each era
		if local[i], err = toolsHere(ctx, s, i%len(eras)); err != nil {
			return err
		}
		defer local[i].stop() //nolint:errcheck // both ends are here
		if remote[i], err = toolsThere(ctx, "http://"+c.addr+"/mcp", secret.Secret, i%len(eras)); err != nil {
			return err
		}
	}
	for _, way := range []struct {
		name string
		rate float64
	}{{"", 0}, {fmt.Sprintf(", %d calls/s each", calm), calm}} {
		over, err := x.together(ctx, way.rate, func(ctx context.Context, agent, n int) (time.Duration, error) {
			times.spent[agent].Store(0)
			began := time.Now()
			err := local[agent].call(ctx, "get_person", map[string]any{"id": subject(agent, n)})
			return time.Since(began) - time.Duration(times.spent[agent].Load()), err
		})
		if err != nil {
			return fmt.Errorf("tools in this process: %w", err)
		}
		x.toldAgents("tool call over its API call"+way.name, over)
	}
	outside, err := x.together(ctx, 0, func(ctx context.Context, agent, n int) (time.Duration, error) {
		began := time.Now()
		err := remote[agent].call(ctx, "get_person", map[string]any{"id": subject(agent, n)})
		return time.Since(began), err
	})
	if err != nil {
		return fmt.Errorf("tools of the server: %w", err)
	}
	x.toldAgents("tool call at /mcp", outside)
	x.r.add(key{"tool call at /mcp: p99 over the API call's", agents, "ms"}, ms(quantile(outside, 0.99)-quantile(plain, 0.99)))
	return nil
}

// bearing puts a key on every request.
type bearing string

// RoundTrip is part of http.RoundTripper.
func (b bearing) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return connections.RoundTrip(r)
}

func overHTTP(ctx context.Context, url, secret string) (*sdk.ClientSession, error) {
	return sdk.NewClient(&sdk.Implementation{Name: "bench", Version: "1"}, nil).Connect(ctx, &sdk.StreamableClientTransport{
		Endpoint: url, HTTPClient: &http.Client{Transport: bearing(secret)}, DisableStandaloneSSE: true,
	}, nil)
}

// refusals counts the answers of a back end that it was asked too much.
type refusals struct{ requests, refused atomic.Int64 }

// RoundTrip is part of http.RoundTripper.
func (c *refusals) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := connections.RoundTrip(r)
	if c.requests.Add(1); err == nil && res.StatusCode == http.StatusTooManyRequests {
		c.refused.Add(1)
	}
	return res, err
}

// crowd has agents read and write through one program for the hosted service, in whose place the server stands with its limits.
func (x *run) crowd(ctx context.Context, c *child) error {
	site, password, _ := strings.Cut(c.basic, ":")
	var back refusals
	s, err := mcp.New(mcp.Options{
		Hosted: &mcp.Hosted{Region: "us", TrackURL: "http://" + c.addr, AppURL: "http://" + c.addr, SiteID: site, APIKey: password, AppKey: c.key},
		Limits: mcp.VendorLimits(), Scopes: workspace.Scopes(), Secret: []byte("bench"), Logger: slog.New(slog.DiscardHandler), Now: time.Now, Transport: &back,
		Audit: func(*audit.Entry) error { return nil },
		Verify: func(_ context.Context, key, _ string) (mcp.Caller, error) {
			return mcp.Caller{ID: key, Scopes: workspace.Scopes()}, nil
		},
	})
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	h := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: time.Minute}
	go h.Serve(l)   //nolint:errcheck // it ends with Close
	defer h.Close() //nolint:errcheck // nobody is left to tell
	var all [agents]*sdk.ClientSession
	for i := range agents {
		if all[i], err = overHTTP(ctx, "http://"+l.Addr().String()+"/mcp", fmt.Sprint("agk_", i)); err != nil {
			return err
		}
		defer all[i].Close() //nolint:errcheck // the server ends next
	}
	var failed atomic.Int64
	took, err := x.together(ctx, 0, func(ctx context.Context, agent, n int) (time.Duration, error) {
		began, who := time.Now(), fmt.Sprint("u", (agent+n)%acquaint)
		var err error
		if n%4 == 0 {
			err = used(ctx, all[agent], "get_person", map[string]any{"id": who})
		} else {
			err = used(ctx, all[agent], "track_event", map[string]any{"id": who, "name": "seen"})
		}
		if err != nil {
			failed.Add(1)
		}
		return time.Since(began), nil
	})
	if err != nil {
		return err
	}
	x.r.add(key{"a crowd within the vendor's limits: calls", agents, ""}, float64(len(took)))
	x.r.add(key{"a crowd: requests to the service", agents, ""}, float64(back.requests.Load()))
	x.r.add(key{"a crowd: refused by the service (429)", agents, ""}, float64(back.refused.Load()))
	x.r.add(key{"a crowd: calls that failed", agents, ""}, float64(failed.Load()))
	x.r.add(key{"a crowd: longest call", agents, "ms"}, ms(quantile(took, 1)))
	return nil
}
