package config

import (
	"errors"
	"strings"
	"testing"

	"rapport.example/internal/fault"
)

// good is what the defaults of the tags make.
func good() Serve {
	return Serve{Data: "./rapport-data", Listen: "127.0.0.1:8080", Limits: "vendor", LimitTrack: 100, LimitApp: 10, LimitSend: 100}
}

func TestServeValidate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Serve)
		field  string // at fault; "" = none
	}{
		"defaults":          {func(*Serve) {}, ""},
		"any port":          {func(s *Serve) { s.Listen = "127.0.0.1:0" }, ""},
		"no folder":         {func(s *Serve) { s.Data = "" }, "--data"},
		"listen, no port":   {func(s *Serve) { s.Listen = "localhost" }, "--listen"},
		"postgres":          {func(s *Serve) { s.DatabaseURL = "postgres://u:secret@h/d" }, ""},
		"postgresql":        {func(s *Serve) { s.DatabaseURL = "postgresql://h/d" }, ""},
		"postgres, socket":  {func(s *Serve) { s.DatabaseURL = "postgres:///d?host=/run/postgresql" }, ""},
		"mysql":             {func(s *Serve) { s.DatabaseURL = "mysql://u:secret@h/d" }, "--database-url"},
		"database, no host": {func(s *Serve) { s.DatabaseURL = "postgres:secret" }, "--database-url"},
		"database, broken":  {func(s *Serve) { s.DatabaseURL = "postgres://secret%zz@h" }, "--database-url"},
		"nats cluster":      {func(s *Serve) { s.NATSURL = "nats://a:4222,tls://b:4222" }, ""},
		"nats, one wrong":   {func(s *Serve) { s.NATSURL = "nats://a:4222,secret" }, "--nats-url"},
		"smtps":             {func(s *Serve) { s.SMTPURL = "smtps://h" }, ""},
		"mail over http":    {func(s *Serve) { s.SMTPURL = "http://u:secret@h" }, "--smtp-url"},
		"base, no scheme":   {func(s *Serve) { s.BaseURL = "mail.example.com" }, "--base-url"},
		"no limit":          {func(s *Serve) { s.LimitTrack, s.LimitApp, s.LimitSend = 0, 0, 0 }, ""},
		"negative limit":    {func(s *Serve) { s.LimitSend = -1 }, "--limit-send"},
		"proxies":           {func(s *Serve) { s.TrustedProxies = "10.0.0.0/8, fd00::1" }, ""},
		"proxies, a name":   {func(s *Serve) { s.TrustedProxies = "10.0.0.0/8,proxy.example" }, "--trusted-proxies"},
		"agent key":         {func(s *Serve) { s.Keys.AgentKey = "agk_x" }, ""},
		"other agent key":   {func(s *Serve) { s.Keys.AgentKey = "secret" }, "RAPPORT_AGENT_KEY"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := good()
			c.change(&s)
			err := s.Validate()
			if c.field == "" {
				if err != nil {
					t.Errorf("Validate() = %v, want nil", err)
				}
				return
			}
			var f *fault.Error
			if !errors.As(err, &f) || f.Kind != fault.Invalid || f.Field != c.field {
				t.Fatalf("Validate() = %#v, want an error of %s", err, c.field)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("Validate() = %q, which gives a secret away", err)
			}
		})
	}
}
