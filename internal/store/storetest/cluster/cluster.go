// Package cluster runs a private PostgreSQL server for tests, with syncing on: in a temporary folder, on a Unix socket, as
// an unprivileged user when the tests run as root. It needs the server's programs, such as Debian's package postgresql.
package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// EnvURL names the variable under which a running cluster is handed to test processes.
const EnvURL = "RAPPORT_TEST_POSTGRES_URL"

// superuser is the role that the cluster is made with; connections need no password.
const superuser = "rapport"

// Cluster is a running server. It ends with the process that started it, however that ends.
type Cluster struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
	dir string
}

// The server is looked after by a shell that reads commands. When its input ends, which it does when the test process is
// gone for whatever reason, it stops the server and removes the folder.
const keeper = `
start() { "$1/pg_ctl" -D "$2/data" -w -t 60 -s -l "$2/log" start >/dev/null 2>&1; }
stop() { "$1/pg_ctl" -D "$2/data" -w -t 60 -s -m "$3" stop >/dev/null 2>&1; }
cd "$2" || exit 1
"$1/initdb" -D "$2/data" -U "$3" -A trust -E UTF8 --locale=C --no-sync >"$2/log" 2>&1 || { echo failed; exit 1; }
cat >>"$2/data/postgresql.conf" <<END
listen_addresses = ''
unix_socket_directories = '$2'
shared_buffers = 64MB
max_connections = 400
max_wal_size = 512MB
END
start "$1" "$2" && echo ok || echo failed
while read -r command; do
	case $command in
	start) start "$1" "$2" && echo ok || echo failed ;;
	kill) stop "$1" "$2" immediate && echo ok || echo failed ;;
	stop) stop "$1" "$2" fast && echo ok || echo failed ;;
	esac
done
stop "$1" "$2" immediate
cd /
rm -rf "$2"
`

// Start makes a cluster and waits until it answers.
func Start() (*Cluster, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("/tmp", "rapport-pg-") // short: a socket's path has 107 bytes
	if err != nil {
		return nil, fmt.Errorf("folder of the cluster: %w", err)
	}
	cmd := exec.Command("/bin/sh", "-c", keeper, "keeper", bin, dir, superuser) //nolint:noctx // it ends with the process, see keeper
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the tests; the keeper sees their end
	if os.Getuid() == 0 {
		if cmd.SysProcAttr.Credential, err = unprivileged(); err == nil {
			err = os.Chown(dir, int(cmd.SysProcAttr.Credential.Uid), int(cmd.SysProcAttr.Credential.Gid))
		}
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	c := &Cluster{cmd: cmd, dir: dir}
	if c.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewScanner(out)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the cluster's keeper: %w", err)
	}
	if err := c.answer("start"); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// programs finds the folder of the newest server's programs.
func programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	if p, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(p), nil
	}
	return "", errors.New("PostgreSQL is missing: no initdb in /usr/lib/postgresql/*/bin nor in PATH; on Debian: apt-get install postgresql; or set " + EnvURL)
}

func version(path string) int {
	n, err := strconv.Atoi(strings.Split(path, "/")[4])
	if err != nil {
		return 0
	}
	return n
}

func unprivileged() (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, fmt.Errorf("PostgreSQL refuses to run as root, and there is no user postgres or nobody: %w", err)
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// URL is the address of a database of the cluster; the database postgres always exists.
func (c *Cluster) URL(database string) string {
	q := url.Values{"host": {c.dir}, "user": {superuser}, "sslmode": {"disable"}}
	return (&url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: q.Encode()}).String()
}

// Kill stops the server as a power cut would, Stop in good order; Run starts it again. Each returns when it is done.
func (c *Cluster) Kill() error { return c.command("kill") }

// Stop ends all connections and the server.
func (c *Cluster) Stop() error { return c.command("stop") }

// Run starts the server after Kill or Stop.
func (c *Cluster) Run() error { return c.command("start") }

func (c *Cluster) command(name string) error {
	if _, err := io.WriteString(c.in, name+"\n"); err != nil {
		return fmt.Errorf("%s the cluster: %w", name, err)
	}
	return c.answer(name)
}

func (c *Cluster) answer(name string) error {
	if c.out.Scan() && c.out.Text() == "ok" {
		return nil
	}
	log, err := os.ReadFile(filepath.Join(c.dir, "log"))
	return errors.Join(fmt.Errorf("%s the cluster in %s failed; its log:\n%s", name, c.dir, log[max(0, len(log)-4000):]), c.out.Err(), err)
}

// Close stops the server and removes everything of it.
func (c *Cluster) Close() error {
	return errors.Join(c.in.Close(), c.cmd.Wait())
}
