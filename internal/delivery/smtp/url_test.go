package smtp

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rapport.example/internal/fault"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in   string
		want Options
		err  string
	}{
		{in: "smtp://mail.example.com", want: Options{Host: "mail.example.com", Port: 587, TLS: StartTLS}},
		{in: "smtp://u:p%40s%23@mail.example.com:2525?tls=starttls", want: Options{Host: "mail.example.com", Port: 2525, TLS: StartTLS, User: "u", Password: "p@s#"}},
		{in: "smtp://mail.example.com?tls=implicit", want: Options{Host: "mail.example.com", Port: 465, TLS: Implicit}},
		{in: "smtps://mail.example.com/", want: Options{Host: "mail.example.com", Port: 465, TLS: Implicit}},
		{in: "smtp://127.0.0.1:1025?tls=off", want: Options{Host: "127.0.0.1", Port: 1025, TLS: Off}},
		{in: "smtp://localhost:1025?tls=off", want: Options{Host: "localhost", Port: 1025, TLS: Off}},
		{in: "smtp://[::1]:1025?tls=off", want: Options{Host: "::1", Port: 1025, TLS: Off}},
		{in: "smtp://mail.example.com?tls=off", err: "on this machine only"},
		{in: "smtp://10.0.0.1?tls=off", err: "on this machine only"},
		{in: "smtp://mail.example.com?tls=maybe", err: "tls must be"},
		{in: "smtp://mail.example.com?tls=off&tls=starttls", err: "one parameter"},
		{in: "smtp://mail.example.com?starttls=1", err: "one parameter"},
		{in: "smtp://mail.example.com?tls=%zz", err: "cannot be read"},
		{in: "smtps://mail.example.com?tls=starttls", err: "means tls=implicit"},
		{in: "smtp://u@mail.example.com", err: "a user and a password"},
		{in: "smtp://:secret@mail.example.com", err: "a user and a password"},
		{in: "smtp://mail.example.com:0", err: "the port"},
		{in: "smtp://mail.example.com:70000", err: "the port"},
		{in: "smtp://u:sec#ret@mail.example.com", err: "must look like"},
		{in: "smtp://u:sec%ret@mail.example.com", err: "must look like"},
		{in: "smtp://mail.example.com/path", err: "must look like"},
		{in: "http://mail.example.com", err: "must look like"},
		{in: "mail.example.com:25", err: "must look like"},
		{in: "", err: "must look like"},
	} {
		got, err := ParseURL(tt.in)
		if tt.err != "" {
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "secret") {
				t.Errorf("ParseURL(%q) = %v, want %q", tt.in, err, tt.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("ParseURL(%q) = %v", tt.in, err)
		}
		if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(Options{}, "Now", "TLSConfig")); diff != "" {
			t.Errorf("ParseURL(%q) (-want +got):\n%s", tt.in, diff)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"smtp://u:p@h:25?tls=off", "smtps://h", "smtp://[::1]:1?tls=off", "smtp://u:p#x@h", "smtp://h?tls=%zz", "smtp://h%00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		o, err := ParseURL(in)
		if err != nil {
			if len(in) > 20 && strings.Contains(err.Error(), in) {
				t.Fatalf("ParseURL(%q) repeats its input: %v", in, err)
			}
			return
		}
		if o.Host == "" || o.Port < 1 || o.Port > 65535 || (o.User == "") != (o.Password == "") || o.TLS == Off && !loopback(o.Host) {
			t.Fatalf("ParseURL(%q) = %+v", in, o)
		}
	})
}
