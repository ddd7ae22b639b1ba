package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// examples are shown at the end of each command's --help.
var examples = map[string]string{
	"": `  rapport demo                                try everything out, with made-up people
  rapport serve                               run a server in ./rapport-data
  rapport apply -f onboarding.yaml --dry-run  see what a workspace file would change`,
	"serve": `  rapport serve
  rapport serve --listen 0.0.0.0:8080 --base-url https://mail.example.com \
      --smtp-url 'smtp://user:password@mail.example.com:587?tls=starttls'
  rapport serve --database-url postgres://rapport@db/rapport --nats-url nats://a:4222,nats://b:4222,nats://c:4222
  RAPPORT_ADMIN_KEY_FILE=/run/secrets/admin rapport serve`,
	"demo":             "  rapport demo\n  rapport demo --people 1000 --listen 127.0.0.1:9000",
	"apply":            "  rapport apply -f onboarding.yaml --dry-run\n  rapport apply -f onboarding.yaml --prune\n  rapport apply -f onboarding.yaml --wait\n  cat onboarding.yaml | rapport apply -f -",
	"export":           "  rapport export > workspace.yaml\n  rapport export --workspace acme\n  rapport export people --output people.csv",
	"export file":      "  rapport export file > workspace.yaml",
	"export people":    "  rapport export people --output people.csv\n  rapport export people --format jsonl --filter '{\"segment\":{\"id\":3}}'",
	"import":           "  rapport import people.csv --dry-run\n  rapport import people.csv --identifier email --map 'E-Mail=email' --map notes=\n  rapport import orders.jsonl --type event --identifier email",
	"keys":             "  rapport keys create --kind agent --name assistant --scopes read --expires-in 90d\n  rapport keys list --kind agent\n  rapport keys revoke 7",
	"keys create":      "  rapport keys create --kind track --workspace acme\n  rapport keys create --kind app --name warehouse --read-only\n  rapport keys create --kind agent --name assistant --scopes read --expires-in 90d",
	"keys list":        "  rapport keys list\n  rapport keys list --kind agent --json",
	"keys rotate":      "  rapport keys rotate 7\n  rapport keys rotate 7 --overlap 1h --json",
	"keys allow":       "  rapport keys allow\n  rapport keys allow 192.0.2.7 10.0.0.0/8 --workspace acme\n  rapport keys allow --anywhere",
	"keys revoke":      "  rapport keys revoke 7",
	"rejections":       "  rapport rejections\n  rapport rejections --since 24h --kind failed_event\n  rapport rejections --reason suppressed --json",
	"why":              "  rapport why 42\n  rapport why ada@example.com --campaign onboarding\n  rapport why cio_abcdefgh --json",
	"segments":         "  rapport segments list\n  rapport segments show paying\n  rapport segments explain paying 42",
	"segments list":    "  rapport segments list\n  rapport segments list --workspace acme --json",
	"segments show":    "  rapport segments show paying\n  rapport segments show paying --wait\n  rapport segments show 7 --json",
	"segments preview": "  rapport segments preview --condition '{attribute: plan, is: [pro, team]}'\n  rapport segments preview -f condition.yaml --samples 0\n  echo '{event: purchase, at_least: 2, within: 30d}' | rapport segments preview --json",
	"segments overlap": "  rapport segments overlap paying newsletter",
	"segments counts":  "  rapport segments counts paying\n  rapport segments counts paying --range 48h --step 1h --json",
	"segments explain": "  rapport segments explain paying 42\n  rapport segments explain paying ada@example.com --json",
	"clock":            "  rapport clock show\n  rapport clock advance 72h\n  rapport clock set 2027-01-01T09:00:00Z",
	"clock show":       "  rapport clock show --workspace acme",
	"clock advance":    "  rapport clock advance 72h\n  rapport clock advance 3d",
	"clock set":        "  rapport clock set 2027-01-01T09:00:00Z",
	"backup":           "  rapport backup rapport-2027-01-01.backup",
	"restore":          "  rapport restore rapport-2027-01-01.backup --data ./restored",
	"migrate":          "  rapport migrate --data ./rapport-data\n  rapport migrate --database-url postgres://rapport@db/rapport",
	"mcp":              "  RAPPORT_AGENT_KEY=agk_… rapport mcp --server http://127.0.0.1:8080\n  RAPPORT_APP_KEY=… rapport mcp --connection customerio --region eu --read-only",
	"catalog":          "  rapport catalog search send a transactional email\n  rapport catalog show customer-io\n  rapport catalog rank --category email-delivery",
	"catalog search":   "  rapport catalog search send a transactional email\n  rapport catalog search push notifications --ready connectable --limit 3 --json",
	"catalog show":     "  rapport catalog show customer-io\n  rapport catalog show rapport --from http://127.0.0.1:8080\n  rapport catalog show resend --json",
	"catalog score":    "  rapport catalog score customer-io rapport\n  rapport catalog score --json",
	"catalog rank":     "  rapport catalog rank\n  rapport catalog rank --category email-delivery",
	"catalog probe":    "  rapport catalog probe https://mail.example.com\n  rapport catalog probe http://127.0.0.1:8080 --service rapport --json",
	"catalog explain":  "  rapport catalog explain customer-io\n  rapport catalog explain rapport --from http://127.0.0.1:8080",
	"agents":           "  rapport agents show\n  rapport agents stop\n  rapport agents live on",
	"agents show":      "  rapport agents show --workspace acme",
	"agents stop":      "  rapport agents stop",
	"agents start":     "  rapport agents start",
	"agents live":      "  rapport agents live on\n  rapport agents live off --workspace acme",
	"agents clients":   "  rapport agents clients list",

	"agents clients add":    "  rapport agents clients add desk --name 'Desk assistant' --redirect http://127.0.0.1/callback",
	"agents clients list":   "  rapport agents clients list --json",
	"agents clients remove": "  rapport agents clients remove desk",

	"audit":        "  rapport audit list\n  rapport audit verify",
	"openapi":      "  rapport openapi app",
	"audit list":   "  rapport audit list --tool upsert_person\n  rapport audit list --limit 500 --json",
	"audit verify": "  rapport audit verify\n  rapport audit verify --from 120 --hash 5f0c…",
	"doctor":       "  rapport doctor\n  rapport doctor https://mail.example.com --key \"$RAPPORT_APP_KEY\"\n  rapport doctor http://127.0.0.1:8080 --strict --json",
	"bench":        "  rapport bench\n  rapport bench --rounds 5 --people 100000 --json\n  rapport bench --database-url postgres://localhost/bench",
	"completion":   "  source <(rapport completion bash)\n  rapport completion zsh > ~/.zfunc/_rapport\n  rapport completion fish > ~/.config/fish/completions/rapport.fish",
	"version":      "  rapport version --json",
}

// helpWithExamples is kong's help with examples and the exit codes behind it.
func helpWithExamples(o kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(o, ctx); err != nil {
		return err
	}
	var words []string
	for _, p := range ctx.Path {
		if p.Command != nil {
			words = append(words, p.Command.Name)
		}
	}
	if e := examples[strings.Join(words, " ")]; e != "" {
		fmt.Fprintf(ctx.Stdout, "\nExamples:\n%s\n", e)
	}
	fmt.Fprintln(ctx.Stdout, "\nIn place of a variable RAPPORT_X, RAPPORT_X_FILE may name a file that holds the value: for secrets.")
	fmt.Fprintln(ctx.Stdout, "Exit codes: 0 done, 1 tried and failed, 2 wrong command line or something missing.")
	return nil
}
