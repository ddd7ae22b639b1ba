package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"rapport.example/internal/api"
	"rapport.example/internal/api/app"
	"rapport.example/internal/definition"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/journey"
	"rapport.example/internal/value"
	"rapport.example/internal/workspace"
)

type (
	// Workspace is a tenant. Times are Unix seconds.
	Workspace struct {
		ID        int64  `json:"id"`
		Name      string `json:"name"` // "" until apply names it
		Partition int32  `json:"partition"`
		Now       int64  `json:"now"`          // the workspace's clock
		Ahead     int64  `json:"clock_offset"` // seconds that it runs ahead of real time
		Gen       int64  `json:"generation"`   // of its definitions
		Sweeping  bool   `json:"sweeping"`     // people are being brought to the newest definitions
		Created   int64  `json:"created"`
	}

	// WorkspacesAnswer lists workspaces.
	WorkspacesAnswer struct {
		Workspaces []Workspace `json:"workspaces"`
	}

	// Definition is the current version of a definition. Times are Unix seconds of the workspace's clock.
	Definition struct {
		Kind    string      `json:"kind"`
		ID      int64       `json:"id"`
		Slug    string      `json:"slug"`
		Version int64       `json:"version"`
		Gen     int64       `json:"generation"`
		Created int64       `json:"created"`
		Updated int64       `json:"updated"`
		Body    value.Value `json:"body"`
	}

	// DefinitionsAnswer lists definitions.
	DefinitionsAnswer struct {
		Workspace   Workspace    `json:"workspace"`
		Definitions []Definition `json:"definitions"`
	}

	// ApplyRequest carries a workspace file.
	ApplyRequest struct {
		File   string `json:"file"` // its name, for errors
		YAML   string `json:"yaml"`
		DryRun bool   `json:"dry_run"`
		Prune  bool   `json:"prune"` // remove what the file leaves out
	}

	// Starting is a campaign that begins to run for current members of its segment. How many get mail is at most People;
	// the campaign's filter and frequency decide for each.
	Starting struct {
		Campaign string `json:"campaign"`
		Segment  string `json:"segment"`
		People   *int64 `json:"people"` // nil = not known before the segment itself is saved
	}

	// Warning is one about a definition in a file, whose field begins with kind and id.
	Warning struct {
		app.Warning
		Line   int `json:"line"` // in the file, from 1
		Column int `json:"column"`
	}

	// ApplyAnswer says what was done, or with dry_run what would be.
	ApplyAnswer struct {
		Workspace   Workspace       `json:"workspace"` // ID 0: it would be created
		Created     bool            `json:"created"`
		Named       bool            `json:"named"` // the one workspace without a name got the file's
		DryRun      bool            `json:"dry_run"`
		Changed     bool            `json:"changed"`
		Plan        definition.Plan `json:"plan"`
		Starts      []Starting      `json:"starts,omitempty"`      // campaigns that begin for people who are in their segment already
		Warnings    []Warning       `json:"warnings,omitempty"`    // what is allowed, but may be a slip
		Credentials []Secret        `json:"credentials,omitempty"` // of a workspace that was created; shown this once
	}
)

func (s *Surface) tenant(w workspace.Workspace) Workspace {
	now := s.o.Now()
	return Workspace{
		ID: w.ID, Name: w.Name, Partition: w.Partition, Now: w.Now(now) / 1000, Ahead: w.Clock / 1000,
		Gen: w.Gen, Sweeping: w.Sweep != 0, Created: w.Created / 1000,
	}
}

func (s *Surface) listWorkspaces(c *api.Call) error {
	all, err := s.o.Store.Workspaces(c.R.Context())
	if err != nil {
		return err
	}
	out := WorkspacesAnswer{Workspaces: []Workspace{}}
	for _, w := range all {
		out.Workspaces = append(out.Workspaces, s.tenant(w))
	}
	return c.JSON(http.StatusOK, out)
}

func (s *Surface) definitions(c *api.Call) error {
	w, err := s.of(c)
	if err != nil {
		return err
	}
	rows, err := s.o.Store.CurrentDefinitions(c.R.Context(), w.ID, c.Query("kind"))
	if err != nil {
		return err
	}
	out := DefinitionsAnswer{Workspace: s.tenant(w), Definitions: []Definition{}}
	for i := range rows {
		r := &rows[i]
		out.Definitions = append(out.Definitions, Definition{r.Kind, r.ID, r.Slug, r.Version, r.Gen, r.Created / 1000, r.Updated / 1000, r.Document()})
	}
	return c.JSON(http.StatusOK, out)
}

func (s *Surface) export(c *api.Call) error {
	w, err := s.of(c)
	if err != nil {
		return err
	}
	rows, err := s.o.Store.CurrentDefinitions(c.R.Context(), w.ID, "")
	if err != nil {
		return err
	}
	text, err := definition.Export(w.Name, rows)
	if err != nil {
		return err
	}
	c.W.Header().Set("Content-Type", "application/yaml; charset=utf-8")
	_, err = c.W.Write(text)
	return err
}

// apply finds or creates the file's workspace, and carries out the difference as one op.
func (s *Surface) apply(c *api.Call) error {
	var in ApplyRequest
	if err := c.Decode(&in, true); err != nil {
		return err
	}
	if in.File == "" {
		in.File = "workspace.yaml"
	}
	doc, err := definition.ParseFile(in.File, []byte(in.YAML))
	if err != nil {
		return placed(err)
	}
	out := ApplyAnswer{DryRun: in.DryRun}
	w, err := s.target(c.R.Context(), doc.Workspace, &out)
	if err != nil {
		return err
	}
	var rows []definition.Row
	if w.ID != 0 {
		if s.o.Fresh != nil { // a definition that was saved a moment ago counts
			s.o.Fresh(c.R.Context(), w.ID)
		}
		if rows, err = s.o.Store.CurrentDefinitions(c.R.Context(), w.ID, ""); err != nil {
			return err
		}
	}
	out.Plan = definition.Diff(rows, doc, in.Prune)
	payload := out.Plan.Payload()
	if out.Named {
		payload.Name = doc.Workspace
	}
	if err := definition.Check(rows, payload); err != nil {
		return placed(doc.Locate(err))
	}
	if out.Starts, err = s.starting(c.R.Context(), w.ID, rows, &out.Plan); err != nil {
		return err
	}
	if out.Warnings, err = s.warnings(c.R.Context(), w.ID, doc, payload.Put); err != nil {
		return err
	}
	out.Changed = !out.Plan.Empty() || out.Named || out.Created
	out.Workspace = s.tenant(w)
	if in.DryRun {
		return c.JSON(http.StatusOK, out)
	}
	if out.Created {
		if w, out.Credentials, err = s.create(c.R.Context(), doc.Workspace); err != nil {
			return err
		}
	}
	if !out.Plan.Empty() || out.Named {
		if err := s.carryOut(c, w, ingest.Define, payload); err != nil {
			return err
		}
	}
	if w, err = s.reread(c.R.Context(), w); err != nil {
		return err
	}
	out.Workspace = s.tenant(w)
	return c.JSON(http.StatusOK, out)
}

// starting lists the campaigns that the plan sets running for people who are in their segment already.
func (s *Surface) starting(ctx context.Context, ws int64, rows []definition.Row, plan *definition.Plan) ([]Starting, error) {
	var out []Starting
	changes := slices.Concat(plan.Add, plan.Change)
	for _, ch := range changes {
		trigger := ch.After.Get("trigger")
		if ch.Kind != definition.Campaigns || trigger.Get("audience").Text() != "current_and_new" ||
			ch.After.Get("state").Text() != journey.Running || ch.Before.Get("state").Text() == journey.Running {
			continue
		}
		one := Starting{Campaign: ch.Slug, Segment: trigger.Get("enters_segment").Text()}
		for i := range rows {
			r := &rows[i]
			changing := slices.ContainsFunc(changes, func(x definition.Change) bool { return x.Kind == r.Kind && x.Slug == r.Slug })
			if r.Kind == definition.Segments && r.Slug == one.Segment && !changing {
				n, err := s.o.Store.CountMembers(ctx, ws, r.ID)
				if err != nil {
					return nil, err
				}
				one.People = &n
			}
		}
		out = append(out, one)
	}
	return out, nil
}

// warnings are about names in the definitions that are put and that nobody of the newest people was seen with, nor described.
func (s *Surface) warnings(ctx context.Context, ws int64, doc *definition.Document, put []ingest.Definition) ([]Warning, error) {
	if ws == 0 || len(put) == 0 {
		return nil, nil
	}
	seen, err := app.Seen(ctx, s.o.Store, ws)
	if err != nil {
		return nil, err
	}
	var out []Warning
	for _, f := range seen.UnseenBy(put) {
		w := Warning{Warning: app.WarningOf(f)}
		var placed *definition.FileError
		if errors.As(doc.Locate(f), &placed) {
			w.Line, w.Column = placed.Line, placed.Column
		}
		out = append(out, w)
	}
	return out, nil
}

// placed puts the place in the file into the message.
func placed(err error) error {
	var f *definition.FileError
	if !errors.As(err, &f) {
		return err
	}
	out := *f.Err
	out.Msg = fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, out.Msg)
	return &out
}

// target decides which workspace a file is for: that of its name; or the only one there is, if that is unnamed and
// empty; or a new one, for which the zero Workspace stands.
func (s *Surface) target(ctx context.Context, name string, out *ApplyAnswer) (workspace.Workspace, error) {
	all, err := s.o.Store.Workspaces(ctx)
	if err != nil {
		return workspace.Workspace{}, err
	}
	for _, w := range all {
		if w.Name == name {
			return w, nil
		}
	}
	if len(all) == 1 && all[0].Name == "" {
		n, err := s.o.Store.Counts(ctx, all[0].ID)
		if err != nil {
			return workspace.Workspace{}, err
		}
		if n.People == 0 && all[0].Gen == 0 {
			out.Named = true
			return all[0], nil
		}
	}
	out.Created = true
	return workspace.Workspace{Name: name}, nil
}

// create makes a workspace with one key of each kind. Made at the same moment by another request, it is that one's, and
// nothing is shown.
func (s *Surface) create(ctx context.Context, name string) (workspace.Workspace, []Secret, error) {
	w, err := s.o.Store.CreateWorkspace(ctx, name, -1)
	if fault.Is(err, fault.Conflict) {
		w, err = s.workspace(ctx, name)
		return w, nil, err
	}
	if err != nil {
		return w, nil, err
	}
	var out []Secret
	for _, kind := range [...]workspace.Kind{workspace.Track, workspace.App, workspace.Write, workspace.Agent} {
		cred, secret := NewCredential(kind, w.ID, name)
		if cred, err = s.o.Store.CreateCredential(ctx, cred); err != nil {
			return w, nil, err
		}
		out = append(out, Secret{key(&cred), secret})
	}
	return w, out, s.o.Keys.Changed(ctx)
}

func (s *Surface) reread(ctx context.Context, w workspace.Workspace) (workspace.Workspace, error) {
	all, err := s.o.Store.Workspaces(ctx)
	if err != nil {
		return w, err
	}
	for _, x := range all {
		if x.ID == w.ID {
			return x, nil
		}
	}
	return w, errors.New("the workspace is gone")
}
