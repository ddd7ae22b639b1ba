package smtp

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
)

// script is a mail server that answers commands from a list, one connection at a time, for what a well-behaved server
// never does. Each line is the start of a command and the answer to it; "." is the end of a message, "drop" as an answer
// ends the connection. An unlisted command gets 250.
func script(t *testing.T, lines ...string) (port int, said func() []string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	all := make(chan []string, 1)
	all <- nil
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			converse(c, lines, func(s string) { all <- append(<-all, fmt.Sprint(n, " ", s)) })
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().(*net.TCPAddr).Port, func() []string {
		s := <-all
		all <- s
		return s
	}
}

func converse(c net.Conn, lines []string, note func(string)) {
	defer c.Close()
	_, _ = fmt.Fprint(c, "220 peer.example\r\n")
	in, data, used := bufio.NewScanner(c), false, map[int]bool{}
	for in.Scan() {
		line := in.Text()
		if data && line != "." {
			continue
		}
		answer := "250 2.0.0 ok"
		switch {
		case strings.HasPrefix(line, "EHLO"):
			answer = "250-peer.example\r\n250-AUTH PLAIN LOGIN\r\n250 ENHANCEDSTATUSCODES"
		case strings.HasPrefix(line, "DATA"):
			answer = "354 go on"
		}
		for i, l := range lines {
			if command, a, _ := strings.Cut(l, " "); !used[i] && strings.HasPrefix(line, command) {
				answer, used[i] = a, true
				break
			}
		}
		note(strings.Fields(line)[0])
		if answer == "drop" {
			return
		}
		data = strings.HasPrefix(answer, "354")
		_, _ = fmt.Fprint(c, answer+"\r\n")
	}
}
