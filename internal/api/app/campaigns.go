package app

import (
	"fmt"
	"net/http"
	"slices"

	"rapport.example/internal/api"
	"rapport.example/internal/definition"
	"rapport.example/internal/fault"
	"rapport.example/internal/journey"
)

func (s *surface) listCampaigns(c *api.Call) error {
	list, err := s.campaigns(c, false)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, CampaignsAnswer{list})
}

// campaigns are all campaigns, or all broadcasts.
func (s *surface) campaigns(c *api.Call, broadcasts bool) ([]Campaign, error) {
	rows, err := s.o.Store.CampaignVersions(c.R.Context(), c.Workspace, 0)
	if err != nil {
		return nil, err
	}
	segments, err := s.segmentIDs(c)
	if err != nil {
		return nil, err
	}
	out := []Campaign{}
	for len(rows) > 0 {
		n := slices.IndexFunc(rows, func(r definition.Row) bool { return r.ID != rows[0].ID })
		if n < 0 {
			n = len(rows)
		}
		versions := rows[:n]
		rows = rows[n:]
		if i := living(versions); i >= 0 && isBroadcast(&versions[i]) == broadcasts {
			one, err := campaign(versions, i, segments)
			if err != nil {
				return nil, err
			}
			out = append(out, one)
		}
	}
	return out, nil
}

// living is the index of the current version, -1 if the campaign was deleted.
func living(versions []definition.Row) int {
	return slices.IndexFunc(versions, func(r definition.Row) bool { return r.Current && !r.Deleted })
}

func (s *surface) getCampaign(c *api.Call) error {
	one, err := s.oneCampaign(c, "campaign_id", false)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, CampaignAnswer{*one})
}

// oneCampaign describes the campaign in the path, or the broadcast.
func (s *surface) oneCampaign(c *api.Call, param string, broadcast bool) (*Campaign, error) {
	id, err := c.ParamID(param)
	if err != nil {
		return nil, err
	}
	versions, err := s.o.Store.CampaignVersions(c.R.Context(), c.Workspace, id)
	if err != nil {
		return nil, err
	}
	i := living(versions)
	if i < 0 || isBroadcast(&versions[i]) != broadcast {
		if broadcast {
			return nil, fault.New(fault.NotFound, "there is no such broadcast")
		}
		return nil, noCampaign()
	}
	segments, err := s.segmentIDs(c)
	if err != nil {
		return nil, err
	}
	one, err := campaign(versions, i, segments)
	return &one, err
}

func noCampaign() error { return fault.New(fault.NotFound, "there is no such campaign") }

// campaign finds the current campaign in the path.
func (s *surface) campaign(c *api.Call) (*definition.Row, error) {
	return s.definition(c, definition.Campaigns, "campaign_id", noCampaign)
}

// definition finds a current definition by the numeric id in the path.
func (s *surface) definition(c *api.Call, kind, param string, none func() error) (*definition.Row, error) {
	id, err := c.ParamID(param)
	if err != nil {
		return nil, err
	}
	rows, err := s.o.Store.CurrentDefinitions(c.R.Context(), c.Workspace, kind)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		if rows[i].ID == id {
			return &rows[i], nil
		}
	}
	return nil, none()
}

// segmentIDs are the numeric ids of segments by slug.
func (s *surface) segmentIDs(c *api.Call) (map[string]int64, error) {
	rows, err := s.o.Store.CurrentDefinitions(c.R.Context(), c.Workspace, definition.Segments)
	out := make(map[string]int64, len(rows))
	for i := range rows {
		out[rows[i].Slug] = rows[i].ID
	}
	return out, err
}

// campaign describes version i of the versions of one campaign.
func campaign(versions []definition.Row, i int, segments map[string]int64) (Campaign, error) {
	r := &versions[i]
	def, err := journey.Parse(r.Body)
	if err != nil {
		return Campaign{}, fmt.Errorf("campaign %d version %d: %w", r.ID, r.Version, err)
	}
	out := Campaign{
		ID: r.ID, DeduplicateID: dedup(r), Name: title(r), Description: def.Description, Type: def.Type(),
		Created: r.Created / 1000, Updated: r.Updated / 1000, Active: def.State == journey.Running, State: def.State,
		Actions: []Action{}, EventName: def.Trigger.Event, FilterSegments: []int64{},
	}
	for _, e := range def.Emails() {
		out.Actions = append(out.Actions, Action{"email", e.ActionID})
	}
	if def.Trigger.Segment != "" {
		out.TriggerSegments, out.MessageTemplates = []int64{segments[def.Trigger.Segment]}, out.Actions
	}
	if def.Filter != nil {
		for _, slug := range def.Filter.Mentions().Segments {
			out.FilterSegments = append(out.FilterSegments, segments[slug])
		}
	}
	for _, v := range versions {
		if v.Body.Get("state").Text() == journey.Running && !v.Deleted {
			out.FirstStarted = v.Updated / 1000
			break
		}
	}
	return out, nil
}

func dedup(r *definition.Row) string { return fmt.Sprintf("%d:%d", r.ID, r.Updated/1000) }
