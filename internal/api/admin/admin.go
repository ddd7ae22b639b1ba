// Package admin is the operators' own surface: a JSON API under /admin/v1 with RFC 9457 errors, and server-rendered
// pages for the development mailbox, people and the reasons of decisions.
//
// An admin key opens every workspace. The JSON API takes it as a bearer; the pages exchange it for a session cookie,
// which the JSON API takes too, from the same origin only.
package admin

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"rapport.example/internal/api"
	"rapport.example/internal/api/app"
	"rapport.example/internal/api/oauth"
	"rapport.example/internal/catalog"
	"rapport.example/internal/definition"
	"rapport.example/internal/fault"
	"rapport.example/internal/id"
	"rapport.example/internal/ingest"
	"rapport.example/internal/workspace"
)

// Options is what the surface works with. All fields are required unless said otherwise.
type Options struct {
	Store  Store
	Keys   *api.Keys
	Log    api.Appender
	Secret []byte // the installation's: sessions and cursors are derived from it
	Now    func() time.Time
	Logger *slog.Logger
	// Audience answers conditions for everybody; nil = the store is read for each.
	Audience app.Asker
	// BaseURL is the server's address as others see it, for secure cookies; "" = that of the request.
	BaseURL string
	// Applied waits, bounded, until the op at a position is applied.
	Applied func(ctx context.Context, pos ingest.Position) error
	// Fresh waits, bounded, until everything that the workspace had acknowledged is applied; nil = reads never wait.
	Fresh func(ctx context.Context, workspace int64) (stale bool)
	// Backup writes a consistent copy of the state to w. nil = backups are not supported here.
	Backup func(ctx context.Context, w io.Writer) error
	// Restore takes a backup for the state from the next start on, which follows at once, and says where the present state will
	// be. A server that was used refuses unless replace is set. nil = restoring is not supported here.
	Restore func(ctx context.Context, r io.Reader, replace bool) (aside string, err error)
	// Guide is the service guide; nil = there is none.
	Guide func(context.Context) (*catalog.Catalog, error)
	// OAuth is the authorization server, whose consent is a page; nil = there is none.
	OAuth *oauth.Server
	// Wake tells the background that there is a new job of a kind; nil = it looks by itself.
	Wake func(kind string)
	// Status adds the server's own members to /admin/v1/status; nil = none.
	Status func(ctx context.Context) map[string]any
}

// Surface is the admin surface.
type Surface struct {
	o        Options
	cursor   *api.Cursor
	sessions sessions
	logins   logins
}

// New returns the surface. Routes go into an api.Mux whose Session is the surface's; Pages is that mux's Fallback.
func New(o Options) *Surface {
	if o.Audience == nil {
		o.Audience = app.Scans{Source: o.Store}
	}
	return &Surface{o: o, cursor: api.NewCursor(o.Secret), sessions: newSessions(o), logins: newLogins()}
}

// Bounds of request bodies, in bytes.
const (
	maxBody  = 64 << 10
	maxApply = 8 << 20 // a workspace file of 4 MiB as a JSON string
)

// inWorkspace is the parameter of whatever is of one workspace.
var inWorkspace = api.Text("workspace", api.MostText, "A workspace by id or name; without it the first.")

// Routes is the surface's table.
func (s *Surface) Routes() []api.Route {
	get := func(path string, response any, h api.Handler, doc string) api.Route {
		return api.Route{Method: http.MethodGet, Path: "/admin/v1/" + path, Auth: api.AdminKey, Shape: api.Problem, Response: response, Handler: h, Doc: doc}
	}
	post := func(path string, request, response any, h api.Handler, doc string) api.Route {
		return api.Route{
			Method: http.MethodPost, Path: "/admin/v1/" + path, Auth: api.AdminKey, Shape: api.Problem, MaxBody: maxBody,
			Request: request, Response: response, Handler: h, Doc: doc,
		}
	}
	apply := post("apply", ApplyRequest{}, ApplyAnswer{}, s.apply, "Brings a workspace to what a workspace file says.")
	apply.MaxBody = maxApply
	restore := post("restore", nil, RestoreAnswer{}, s.restore, "Makes a backup the state; the server starts anew on it.")
	restore.MaxBody = 0 // it is read as it comes
	restore.Query = []api.Param{api.Bool("replace", "Puts aside a state that is in use, too.")}
	addUnmailable := get("unmailable/{address}", UnmailableAnswer{}, s.addUnmailable, "Keeps an address from being mailed, by all workspaces.").With(inWorkspace)
	addUnmailable.Method = http.MethodPut
	removeUnmailable := get("unmailable/{address}", nil, s.removeUnmailable, "Lets an address be mailed again.").With(inWorkspace)
	removeUnmailable.Method = http.MethodDelete
	revoke := get("keys/{id}", nil, s.revokeKey, "Revokes a key at once.")
	revoke.Method = http.MethodDelete
	return slices.Concat(s.objectRoutes(), s.addressRoutes(), s.guideRoutes(), s.exportRoutes(), s.importRoutes(), s.agentRoutes(), s.clientRoutes(), s.segmentRoutes(), s.segmentWrites(), []api.Route{
		get("workspaces", WorkspacesAnswer{}, s.listWorkspaces, "Lists workspaces."),
		get("definitions", DefinitionsAnswer{}, s.definitions, "Lists a workspace's definitions.").With(inWorkspace, api.Word("kind", "", definition.Kinds(), "Definitions of a kind.")),
		apply,
		get("export", nil, s.export, "Writes a workspace's definitions as a workspace file.").With(inWorkspace),
		get("keys", KeysAnswer{}, s.listKeys, "Lists keys, without their secrets.").With(inWorkspace),
		post("keys", KeyRequest{}, Secret{}, s.createKey, "Creates a key; its secret is shown this once.").With(inWorkspace),
		revoke,
		post("keys/{id}/rotate", RotateRequest{}, Rotation{}, s.rotateKey, "Creates a key like another one, which ends after the overlap."),
		get("clock", ClockAnswer{}, s.clock, "Reads a workspace's clock.").With(inWorkspace),
		post("clock", ClockRequest{}, ClockAnswer{}, s.moveClock, "Moves a workspace's clock forward and carries out what falls due.").With(inWorkspace),
		get("people/{person}/why", WhyAnswer{}, s.why, "Lists the decisions about a person, newest first.").Paged(50, 500).
			With(inWorkspace, api.Text("campaign", api.MostText, "Decisions of a campaign, by id or number.")),
		get("people/{person}/segments/{segment}", MembershipAnswer{}, s.membership, "Tells whether a person is in a segment, and why, line by line.").With(inWorkspace),
		get("rejections", RejectionsAnswer{}, s.rejections, "Lists what was accepted and not applied, newest first.").Paged(50, 500).With(inWorkspace).With(rejectionParams...),
		get("unmailable/{address}", UnmailableAnswer{}, s.unmailable, "Tells what keeps an address from being mailed.").With(inWorkspace),
		addUnmailable, removeUnmailable,
		get("data_index", DataIndexAnswer{}, s.dataIndex, "Lists what attributes or events are for, by name.").Paged(50, 500).
			With(inWorkspace, api.Word("kind", "attribute", []string{"attribute", "event"}, "What to list.")),
		get("forms", FormsAnswer{}, s.forms, "Lists the forms that were submitted, by id.").Paged(50, 500).With(inWorkspace),
		get("mailbox", MailboxAnswer{}, s.mailbox, "Lists the mails of the development mailbox, newest first.").Paged(20, 100).With(inWorkspace,
			api.Text("to", api.MostText, "Mails whose recipient has this in it, in any case."), api.Text("delivery_id", api.MostText, "The mail of a delivery.")),
		get("mailbox/{id}", MailMessage{}, s.mail, "Reads a mail of the development mailbox."),
		get("status", StatusAnswer{}, s.status, "Tells how the server and its workspaces are."),
		post("backup", nil, nil, s.backup, "Streams a consistent copy of the state."),
		restore,
	})
}

// workspace finds the workspace that the query names by id or name; without one, the first.
func (s *Surface) workspace(ctx context.Context, name string) (workspace.Workspace, error) {
	all, err := s.o.Store.Workspaces(ctx)
	if err != nil {
		return workspace.Workspace{}, err
	}
	for _, w := range all {
		if name == "" || w.Name == name {
			return w, nil
		}
	}
	if n, err := strconv.ParseInt(name, 10, 64); err == nil {
		for _, w := range all {
			if w.ID == n {
				return w, nil
			}
		}
	}
	return workspace.Workspace{}, fault.New(fault.NotFound, "there is no such workspace")
}

// of is workspace for a call, with its acknowledged writes applied.
func (s *Surface) of(c *api.Call) (workspace.Workspace, error) {
	w, err := s.workspace(c.R.Context(), c.Query("workspace"))
	if err != nil || s.o.Fresh == nil {
		return w, err
	}
	if s.o.Fresh(c.R.Context(), w.ID) {
		c.W.Header().Set("X-Rapport-Stale", "true")
	}
	return w, nil
}

// carryOut makes an op durable and waits until it is applied.
func (s *Surface) carryOut(c *api.Call, w workspace.Workspace, kind ingest.Kind, payload any) error {
	v, err := ingest.Encode(payload)
	if err != nil {
		return err
	}
	o := ingest.Op{
		Version: ingest.OpVersion, Workspace: w.ID, Received: c.Now.UnixMilli(), ID: id.New(c.Now), Surface: ingest.FromAdmin,
		Request: c.RequestID, Kind: kind, Payload: v,
	}
	if c.Credential != nil {
		o.Credential = c.Credential.ID
	}
	pos, err := c.Append(s.o.Log, w.Partition, o)
	if err != nil && fault.Is(err, fault.Internal) {
		return fault.Wrap(fault.Unavailable, err, "the write could not be made durable: send it again")
	}
	if err != nil {
		return err
	}
	if err := s.o.Applied(c.R.Context(), pos); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the change is accepted but not applied yet")
	}
	return nil
}
