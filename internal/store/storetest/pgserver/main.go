// Command pgserver runs a command with a PostgreSQL cluster of its own, whose URL it finds in RAPPORT_TEST_POSTGRES_URL,
// and exits with the command's code. It lets all test packages share one cluster:
//
//	go run ./internal/store/storetest/pgserver -- go test ./...
//
// Without PostgreSQL it exits with code 2 (go run makes 1 of every code: build it where the code matters). A cluster that is named already is used as it is.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"rapport.example/internal/store/storetest/cluster"
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "pgserver:", err)
	}
	os.Exit(code)
}

func run(args []string) (code int, err error) {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return 2, errors.New("usage: pgserver -- COMMAND [ARGUMENT …]")
	}
	env := os.Environ()
	if os.Getenv(cluster.EnvURL) == "" {
		c, err := cluster.Start()
		if err != nil {
			return 2, err
		}
		defer func() { err = errors.Join(err, c.Close()) }()
		env = append(env, cluster.EnvURL+"="+c.URL("postgres"))
	}
	cmd := exec.Command(args[0], args[1:]...) //nolint:noctx // signals are passed on to it
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = os.Stdin, os.Stdout, os.Stderr, env
	// A signal from the terminal reaches the command too; one sent to this process alone is passed on.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if err := cmd.Start(); err != nil {
		return 2, err
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s) //nolint:errcheck // it may have ended already
		}
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(1, exit.ExitCode()), nil // -1 when a signal ended it
	}
	return 0, err
}
