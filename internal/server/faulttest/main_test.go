// Package faulttest starts the built binary as real processes and does to them what operators fear: kill -9, a log or a
// database that is gone, a node that dies, a full stop. Nothing that was acknowledged may be lost or done twice.
package faulttest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// binary is the program under test, built once for the process.
var binary string

func TestMain(m *testing.M) {
	if spec := os.Getenv(natsEnv); spec != "" { // this process is a child of a test
		if err := natsNode(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "rapport-fault-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "rapport")
	if out, err := exec.Command("go", "build", "-o", binary, "rapport.example/cmd/rapport").CombinedOutput(); err != nil { // go test bounds it
		return 1, fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// natsEnv tells a child that it is a NATS server, and of what kind.
const natsEnv = "RAPPORT_FAULTTEST_NATS"

// natsSpec is one NATS server of a cluster, or a single one.
type natsSpec struct {
	Name, Dir     string
	Port, Cluster int
	Routes        []string
}

// natsNode serves until its input ends, which it does with the test process whatever becomes of that.
func natsNode(text string) error {
	var s natsSpec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	o := &server.Options{ServerName: s.Name, Host: "127.0.0.1", Port: s.Port, JetStream: true, StoreDir: s.Dir, NoSigs: true, MaxPayload: 8 << 20}
	if s.Cluster != 0 {
		o.Cluster = server.ClusterOpts{Name: "faults", Host: "127.0.0.1", Port: s.Cluster}
		for _, r := range s.Routes {
			u, err := url.Parse(r)
			if err != nil {
				return err
			}
			o.Routes = append(o.Routes, u)
		}
	}
	ns, err := server.NewServer(o)
	if err != nil {
		return err
	}
	go ns.Start()
	if !ns.ReadyForConnections(time.Minute) {
		return fmt.Errorf("NATS server %s did not start", s.Name)
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	ns.Shutdown()
	return err
}

// natsProcess is a NATS server in a process of its own.
type natsProcess struct {
	spec natsSpec
	cmd  *exec.Cmd
}

func (s natsSpec) start(t *testing.T) *natsProcess {
	t.Helper()
	spec, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0]) // ended by kill, and by the end of its input
	cmd.Env = append(os.Environ(), natsEnv+"="+string(spec))
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &natsProcess{s, cmd}
	t.Cleanup(p.kill)
	within(t, time.Minute, "NATS server "+s.Name, func() bool {
		c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", s.Port), time.Second) // bounded
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
	return p
}

// kill is kill -9. Twice is harmless.
func (p *natsProcess) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill() // it may have ended
		_ = p.cmd.Wait()         // it was killed
	}
}

func (s natsSpec) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", s.Port) }

// nextPort is the first port that ports has not looked at, so that tests side by side get different ones.
var nextPort atomic.Int64

// ports finds n free ports below those that outgoing connections take.
func ports(t *testing.T, n int) []int {
	t.Helper()
	var out []int
	for len(out) < n {
		p := 15000 + os.Getpid()%10000 + int(nextPort.Add(1))
		if p >= 32000 {
			t.Fatal("no free ports")
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p)) // on loopback at once
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

// within looks until ok holds, for a bounded time.
func within(t *testing.T, d time.Duration, what string, ok func() bool) {
	t.Helper()
	end := time.NewTimer(d)
	defer end.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("did not happen within %s: %s", d, what)
		}
	}
}

func example(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../../examples/onboarding.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
