// Package config is what can be set: one struct of options per command, filled from flags and environment, checked once.
package config

import (
	"net"
	"net/netip"
	"net/url"
	"strings"

	"rapport.example/internal/fault"
	"rapport.example/internal/workspace"
)

// Serve is what a server runs with. The tags are read by the command line.
type Serve struct {
	Data           string  `help:"Folder for everything that is kept. Default: ${default}." default:"./rapport-data" env:"RAPPORT_DATA" type:"path" placeholder:"DIR"`
	Listen         string  `help:"Address to serve HTTP on. Default: ${default}." default:"127.0.0.1:8080" env:"RAPPORT_LISTEN" placeholder:"HOST:PORT"`
	DatabaseURL    string  `name:"database-url" help:"PostgreSQL 15 or newer, as postgres://user:password@host/database. Default: SQLite in the data folder." env:"RAPPORT_DATABASE_URL" placeholder:"URL"`
	NATSURL        string  `name:"nats-url" help:"NATS JetStream cluster for the log, as nats://host:4222,nats://…. Default: a server inside this process." env:"RAPPORT_NATS_URL" placeholder:"URL"`
	SMTPURL        string  `name:"smtp-url" help:"Mail server, as smtp://user:password@host:587?tls=starttls (off, starttls or implicit; off only on loopback). Default: the development mailbox." env:"RAPPORT_SMTP_URL" placeholder:"URL"`
	Limits         string  `help:"Rate limits: vendor (the published ones) or off." enum:"vendor,off" default:"vendor" env:"RAPPORT_LIMITS"`
	LimitTrack     float64 `help:"Track API requests per second and workspace; 0 = none. Default: ${default}." default:"100" env:"RAPPORT_LIMIT_TRACK" placeholder:"N"`
	LimitApp       float64 `help:"App API requests per second and workspace; 0 = none. Default: ${default}." default:"10" env:"RAPPORT_LIMIT_APP" placeholder:"N"`
	LimitSend      float64 `help:"Transactional sends per second and workspace; 0 = none. Default: ${default}." default:"100" env:"RAPPORT_LIMIT_SEND" placeholder:"N"`
	LimitOpen      float64 `help:"Reports about messages, which need no key, per second and client address; 0 = none. Default: ${default}." default:"100" env:"RAPPORT_LIMIT_OPEN" placeholder:"N"`
	LimitPipelines float64 `help:"Pipelines API requests per second and workspace; 0 = none. Default: ${default}." default:"1000" env:"RAPPORT_LIMIT_PIPELINES" placeholder:"N"`
	LimitArchive   float64 `help:"Archived messages read per day (UTC) and workspace; 0 = no limit. Default: ${default}." default:"100" env:"RAPPORT_LIMIT_ARCHIVE" placeholder:"N"`
	SendingIPs     string  `name:"sending-ips" help:"Addresses that mail is sent from, with commas between: GET /v1/info/ip_addresses tells them." env:"RAPPORT_SENDING_IPS" placeholder:"IP,…"`
	ArchiveDays    int     `help:"Days for which it is kept what messages said; 0 = it is not kept. Default: ${default}." default:"30" env:"RAPPORT_ARCHIVE_DAYS" placeholder:"N"`
	SegmentMemory  int     `help:"MiB for what is kept in memory to count segments and previews quickly; 0 = nothing is kept. Default: ${default}." default:"256" env:"RAPPORT_SEGMENT_MEMORY" placeholder:"MIB"`
	BaseURL        string  `name:"base-url" help:"Address under which people reach links in messages. Default: that of --listen." env:"RAPPORT_BASE_URL" placeholder:"URL"`
	ImportHosts    string  `name:"import-hosts" help:"Hosts inside this network from which POST /v1/imports may fetch files, as name or name:port with commas between. Default: none, only the internet." env:"RAPPORT_IMPORT_HOSTS" placeholder:"HOST,…"`
	ClientHosts    string  `name:"client-hosts" help:"Hosts inside this network from which OAuth clients' descriptions may be fetched, as name or name:port with commas between. Default: none, only the internet." env:"RAPPORT_CLIENT_HOSTS" placeholder:"HOST,…"`
	TrustedProxies string  `name:"trusted-proxies" help:"Proxies whose X-Forwarded-For tells who asks, as addresses or CIDRs with commas between. Default: none, the connection tells." env:"RAPPORT_TRUSTED_PROXIES" placeholder:"CIDR,…"`
	LogLevel       string  `help:"Least level that is logged: debug, info, warn or error." enum:"debug,info,warn,error" default:"info" env:"RAPPORT_LOG_LEVEL"`
	LogFormat      string  `help:"Form of log lines: text or json." enum:"text,json" default:"text" env:"RAPPORT_LOG_FORMAT"`
	Region         string  `help:"Region that GET /api/v1/accounts/region answers: us or eu." enum:"us,eu" default:"us" env:"RAPPORT_REGION"`

	Keys Keys `embed:"" group:"Credentials of the first workspace (environment only; generated and printed once where not set)"`

	Bench bool `hidden:"" env:"-" help:"Serve the no-op handler that rapport bench compares with."`
}

// Keys are the first workspace's credentials on a new data folder. Empty ones are generated.
type Keys struct {
	SiteID   string `name:"site-id" hidden:"" env:"RAPPORT_SITE_ID"`
	APIKey   string `name:"api-key" hidden:"" env:"RAPPORT_API_KEY"`
	AppKey   string `name:"app-key" hidden:"" env:"RAPPORT_APP_KEY"`
	WriteKey string `name:"write-key" hidden:"" env:"RAPPORT_WRITE_KEY"`
	AgentKey string `name:"agent-key" hidden:"" env:"RAPPORT_AGENT_KEY"`
	AdminKey string `name:"admin-key" hidden:"" env:"RAPPORT_ADMIN_KEY"`
}

// Validate names the first flag at fault, in an error of kind Invalid.
func (s *Serve) Validate() error {
	if s.Data == "" {
		return fault.Field("--data", "must name a folder")
	}
	if _, _, err := net.SplitHostPort(s.Listen); err != nil {
		return fault.Field("--listen", "must be host:port, like 127.0.0.1:8080")
	}
	for _, u := range []struct{ flag, url, schemes string }{
		{"--database-url", s.DatabaseURL, "postgres postgresql"}, {"--smtp-url", s.SMTPURL, "smtp smtps"}, {"--base-url", s.BaseURL, "http https"},
	} {
		if err := checkURL(u.flag, u.url, strings.Fields(u.schemes)); err != nil {
			return err
		}
	}
	if s.NATSURL != "" {
		for one := range strings.SplitSeq(s.NATSURL, ",") {
			if err := checkURL("--nats-url", one, []string{"nats", "tls"}); err != nil {
				return err
			}
		}
	}
	for _, l := range []struct {
		flag string
		v    float64
	}{{"--limit-track", s.LimitTrack}, {"--limit-app", s.LimitApp}, {"--limit-send", s.LimitSend}, {"--limit-open", s.LimitOpen}, {"--limit-pipelines", s.LimitPipelines}, {"--limit-archive", s.LimitArchive}, {"--archive-days", float64(s.ArchiveDays)}, {"--segment-memory", float64(s.SegmentMemory)}} {
		if l.v < 0 {
			return fault.Field(l.flag, "must be 0 or more")
		}
	}
	if _, err := s.Proxies(); err != nil {
		return err
	}
	if a := s.Keys.AgentKey; a != "" && !strings.HasPrefix(a, "agk_") {
		return fault.Field("RAPPORT_AGENT_KEY", "must start with agk_")
	}
	return nil
}

// Proxies are the trusted proxies.
func (s *Serve) Proxies() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for text := range strings.SplitSeq(s.TrustedProxies, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		p, err := workspace.ParsePrefix(text)
		if err != nil {
			return nil, fault.Field("--trusted-proxies", "must be addresses or CIDRs like 10.0.0.0/8, with commas between")
		}
		out = append(out, p)
	}
	return out, nil
}

func checkURL(flag, raw string, schemes []string) error {
	if raw == "" {
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" && u.Query().Get("host") == "" { // PostgreSQL on a socket: postgres:///database?host=/folder
		return fault.Field(flag, "must be a URL that starts with %s://", schemes[0]) // the value may hold a password
	}
	for _, s := range schemes {
		if u.Scheme == s {
			return nil
		}
	}
	return fault.Field(flag, "must be a URL that starts with %s://", schemes[0])
}
