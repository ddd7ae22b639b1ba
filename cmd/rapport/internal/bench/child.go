package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"rapport.example/internal/api/admin"
	"rapport.example/internal/id"
)

// child is the server under test.
type child struct {
	cmd    *exec.Cmd
	dir    string
	addr   string // host:port
	basic  string // user:password of the Track API
	write  string // write key of the Pipelines API
	admin  string // admin key
	key    string // App key
	output sync.WaitGroup

	mu    sync.Mutex
	warns []string // what it has logged as a warning, the first few
	fails []string // what it has logged as an error or said otherwise, the first few
}

const startWithin = 30 * time.Second

// spawn starts a server on a data folder, with more flags, and waits until it serves.
func (x *run) spawn(ctx context.Context, dir, databaseURL, smtp string, more ...string) (*child, error) {
	c := &child{dir: dir, basic: "bench:" + id.Secret(20), write: id.Secret(20), admin: id.Secret(20), key: id.Secret(20)}
	args := []string{"serve", "--bench", "--limits", "off", "--data", dir, "--listen", "127.0.0.1:0", "--log-format", "json", "--smtp-url", "smtp://" + smtp + "?tls=off"}
	if databaseURL != "" {
		args = append(args, "--database-url", databaseURL)
	}
	if x.o.NATSURL != "" {
		args = append(args, "--nats-url", x.o.NATSURL)
	}
	c.cmd = exec.CommandContext(context.WithoutCancel(ctx), x.o.Executable, append(args, more...)...)
	_, password, _ := strings.Cut(c.basic, ":")
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "RAPPORT_") {
			c.cmd.Env = append(c.cmd.Env, kv)
		}
	}
	c.cmd.Env = append(c.cmd.Env, "RAPPORT_SITE_ID=bench", "RAPPORT_API_KEY="+password, "RAPPORT_APP_KEY="+c.key, "RAPPORT_WRITE_KEY="+c.write, "RAPPORT_ADMIN_KEY="+c.admin, "RAPPORT_IMPORT_HOSTS=127.0.0.1")
	stderr, err := c.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	url := make(chan string, 1)
	c.output.Go(func() { c.read(stderr, url) })
	t := time.NewTimer(startWithin)
	defer t.Stop()
	select {
	case u, ok := <-url:
		if c.addr = strings.TrimPrefix(u, "http://"); ok {
			return c, nil
		}
		err = errors.New("the server ended at its start")
	case <-t.C:
		err = errors.New("the server does not start")
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(err, c.stop())
}

// read follows the server's log. url gets its address, and is closed in the end.
func (c *child) read(r io.Reader, url chan<- string) {
	defer close(url)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct{ Level, Msg, URL string }
		err := json.Unmarshal(lines.Bytes(), &line)
		switch {
		case err == nil && line.Msg == "serving":
			url <- line.URL
		case err == nil && line.Level == "WARN":
			c.keep(&c.warns, lines.Text())
		case err != nil || line.Level == "ERROR":
			c.keep(&c.fails, lines.Text())
		}
	}
}

func (c *child) keep(list *[]string, line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(*list) < 5 {
		*list = append(*list, line)
	}
}

// stop ends the server by its id. What it complained about is the error.
func (c *child) stop() error {
	err := c.cmd.Process.Signal(syscall.SIGTERM)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	late := time.AfterFunc(startWithin, func() { _ = c.cmd.Process.Kill() }) //nolint:errcheck // it may have ended already
	c.output.Wait()
	err = errors.Join(err, c.cmd.Wait())
	late.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.fails) > 0 {
		err = errors.Join(err, fmt.Errorf("the server complained:\n  %s", strings.Join(c.fails, "\n  ")))
	}
	return err
}

// call asks the admin API.
func (c *child) call(ctx context.Context, method, path string, body, into any) error {
	var send io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		send = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.addr+"/admin/v1/"+path, send)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.admin)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read only
	if res.StatusCode/100 != 2 {
		b, _ := io.ReadAll(io.LimitReader(res.Body, 2000)) //nolint:errcheck // the status says enough
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, b)
	}
	return json.NewDecoder(res.Body).Decode(into)
}

// settled waits until everything in the log is applied and nothing is on its way to somebody.
func (c *child) settled(ctx context.Context) (admin.Counts, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Minute, errors.New("the server did not apply what it has acknowledged"))
	defer cancel()
	for {
		var s admin.StatusAnswer
		if err := c.call(ctx, http.MethodGet, "status", nil, &s); err != nil {
			return admin.Counts{}, errors.Join(context.Cause(ctx), err)
		}
		if behind, err := unapplied(&s); err != nil || len(s.Workspaces) != 1 {
			return admin.Counts{}, fmt.Errorf("unexpected status: %w", err)
		} else if n := s.Workspaces[0]; !behind && n.Queued+n.InFlight == 0 {
			return n.Counts, nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return admin.Counts{}, err
		}
	}
}

func unapplied(s *admin.StatusAnswer) (bool, error) {
	last, ok := s.Server["log_last"].(map[string]any)
	if !ok {
		return false, errors.New("it does not tell the log's end")
	}
	for _, p := range s.Partitions {
		if end, ok := last[strconv.FormatInt(p.ID, 10)].(float64); ok && int64(end) > p.Checkpoint {
			return true, nil
		}
	}
	return false, nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
