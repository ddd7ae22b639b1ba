// Package natstest runs NATS JetStream servers inside a test: one, or a cluster, on loopback ports and in the test's own
// folders. Each node can be stopped and started again.
package natstest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const startFor = 30 * time.Second

// Cluster is some servers. Its methods are for the test's own goroutine.
type Cluster struct {
	tb     testing.TB
	nodes  []*server.Server // nil = stopped
	opts   []server.Options
	routes []*url.URL
}

// Start starts n servers, a cluster if n > 1, and stops them when the test ends. Writes are synced, as in production.
func Start(tb testing.TB, n int) *Cluster {
	tb.Helper()
	c := &Cluster{tb: tb, nodes: make([]*server.Server, n)}
	dir := tb.TempDir()
	tb.Cleanup(func() {
		for i := range c.nodes {
			c.Kill(i)
		}
	})
	at := ports(tb, 2*n)
	for i := range n {
		c.routes = append(c.routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", at[n+i])})
	}
	for i := range n {
		o := server.Options{
			ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: at[i], NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: filepath.Join(dir, fmt.Sprint(i)), SyncAlways: true, MaxPayload: 8 << 20,
		}
		if n > 1 {
			o.Cluster, o.Routes = server.ClusterOpts{Name: "natstest", Host: "127.0.0.1", Port: at[n+i]}, c.routes
		}
		c.opts = append(c.opts, o)
		c.start(i)
	}
	c.Settled()
	return c
}

// ports finds n free ports below those that the system gives to outgoing connections: one of these must not take a
// stopped node's port, least of all the connection that looks for that node.
func ports(tb testing.TB, n int) []int {
	tb.Helper()
	var out []int
	for p := 11000 + rand.IntN(15000); len(out) < n && p < 32000; p++ {
		l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			tb.Fatal(err)
		}
		out = append(out, p)
	}
	if len(out) < n {
		tb.Fatal("no free ports")
	}
	return out
}

func (c *Cluster) start(i int) {
	c.tb.Helper()
	o := c.opts[i] // the server changes what it is given
	ns, err := server.NewServer(&o)
	if err != nil {
		c.tb.Fatalf("start NATS server %d: %v", i, err)
	}
	c.nodes[i] = ns
	ns.Start()
	if !ns.ReadyForConnections(startFor) {
		c.tb.Fatalf("NATS server %d did not start within %s", i, startFor)
	}
}

// URL names all nodes, running or not.
func (c *Cluster) URL() string {
	var all []string
	for _, o := range c.opts {
		all = append(all, fmt.Sprintf("nats://127.0.0.1:%d", o.Port))
	}
	return strings.Join(all, ",")
}

// Kill stops a node; its files stay. It is as abrupt as one process can be to itself: connections are cut, but what the
// node leads it hands over. Twice is harmless.
func (c *Cluster) Kill(i int) {
	if ns := c.nodes[i]; ns != nil {
		c.nodes[i] = nil
		ns.Shutdown()
		ns.WaitForShutdown()
	}
}

// Restart starts a stopped node again, on the same ports and files.
func (c *Cluster) Restart(i int) {
	c.tb.Helper()
	c.start(i)
}

// Leader is the node that leads a stream, waiting until there is one.
func (c *Cluster) Leader(stream string) int {
	c.tb.Helper()
	leader := -1
	c.until("stream "+stream+" has a leader", func() bool {
		for i, ns := range c.nodes {
			if ns != nil && ns.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream) {
				leader = i
			}
		}
		return leader >= 0
	})
	return leader
}

// Settled waits until the cluster has a leader that all running nodes follow, and each of them holds the streams
// named, up to their ends. A server that is stopped while it recovers a stream leaves that stream's files open.
func (c *Cluster) Settled(streams ...string) {
	c.tb.Helper()
	if len(c.nodes) == 1 {
		return
	}
	c.until("the cluster has a leader", func() bool {
		led := false
		for _, ns := range c.nodes {
			if ns == nil {
				continue
			}
			if !ns.JetStreamIsCurrent() {
				return false
			}
			for _, name := range streams {
				if !ns.JetStreamIsStreamCurrent(server.DEFAULT_GLOBAL_ACCOUNT, name) {
					return false
				}
			}
			led = led || ns.JetStreamIsLeader()
		}
		return led
	})
}

func (c *Cluster) until(what string, ok func() bool) {
	c.tb.Helper()
	end := time.NewTimer(startFor)
	defer end.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			c.tb.Fatalf("not within %s: %s", startFor, what)
		}
	}
}
