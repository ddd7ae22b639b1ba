package smtp

import (
	"net"
	"net/url"
	"strconv"

	"rapport.example/internal/fault"
)

// TLS says how a connection is protected.
type TLS string

// The protections.
const (
	Off      TLS = "off"      // none, only toward loopback
	StartTLS TLS = "starttls" // asked for on a plain connection, and required
	Implicit TLS = "implicit" // from the first byte
)

// ParseURL reads smtp://user:password@host:port?tls=off|starttls|implicit. Without tls it is starttls; smtps:// means
// implicit. Port is 587, or 465 with implicit TLS, if it is left out. Its errors are of kind Invalid and hold nothing of
// what was given, as that holds the password.
func ParseURL(raw string) (Options, error) {
	bad := func(format string, args ...any) (Options, error) {
		return Options{}, fault.Field("--smtp-url", format, args...)
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.Fragment != "" {
		return bad("must look like smtp://user:password@host:587?tls=starttls, with special characters percent-encoded")
	}
	o := Options{Host: u.Hostname(), TLS: StartTLS, User: u.User.Username()}
	o.Password, _ = u.User.Password()
	if (o.User == "") != (o.Password == "") {
		return bad("needs a user and a password, or neither")
	}
	if u.Scheme == "smtps" {
		o.TLS = Implicit
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return bad("the part behind ? cannot be read")
	}
	for k, v := range query {
		if k != "tls" || len(v) != 1 {
			return bad("knows one parameter, tls")
		}
		o.TLS = TLS(v[0])
	}
	switch {
	case o.TLS != Off && o.TLS != StartTLS && o.TLS != Implicit:
		return bad("tls must be off, starttls or implicit")
	case o.TLS == Off && !loopback(o.Host):
		return bad("tls=off is for servers on this machine only; use starttls or implicit")
	case o.TLS != Implicit && u.Scheme == "smtps":
		return bad("smtps:// means tls=implicit")
	}
	o.Port = 587
	if o.TLS == Implicit {
		o.Port = 465
	}
	if p := u.Port(); p != "" {
		if o.Port, err = strconv.Atoi(p); err != nil || o.Port < 1 || o.Port > 65535 {
			return bad("the port must be 1 to 65535")
		}
	}
	return o, nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
