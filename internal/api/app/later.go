package app

import (
	"net/http"
	"strings"

	"rapport.example/internal/api"
	"rapport.example/internal/fault"
	"rapport.example/internal/workspace"
)

// NotBuilt is the Doc of the routes that answer 501.
const NotBuilt = "Not built yet."

// unsupported declares an operation that the vendor has and this program has not yet.
func unsupported(method, path string) api.Route {
	scope := "" // by the method
	if verb := path[strings.LastIndexByte(path, '/')+1:]; method == http.MethodPost && (verb == "triggers" || verb == "send" || verb == "schedule") {
		scope = workspace.Send
	}
	return api.Route{
		Method: method, Path: path, Auth: api.AppKey, Scope: scope, Limit: api.LimitApp, Shape: api.AppErrors, Doc: NotBuilt,
		Handler: func(*api.Call) error {
			return fault.New(fault.Unsupported, "%s %s is not supported yet", method, path)
		},
	}
}

// later lists the rest of the vendor's operations, so that callers learn that they are missing instead of a 404.
func later() []api.Route {
	var out []api.Route
	for line := range strings.SplitSeq(strings.TrimSpace(laterTable), "\n") {
		methods, paths, _ := strings.Cut(strings.TrimSpace(line), " ")
		for m := range strings.SplitSeq(methods, ",") {
			for p := range strings.FieldsSeq(paths) {
				out = append(out, unsupported(m, "/v1/"+p))
			}
		}
	}
	return append(out, unsupported(http.MethodPost, "/v1/api/campaigns/{campaign_id}/triggers"))
}

// Methods, then paths under /v1/. Parameters of one place have one name, which is that of the routes that are built.
const laterTable = `
POST campaigns/{campaign_id}/triggers
GET campaigns/{campaign_id}/triggers/{trigger_id} campaigns/{campaign_id}/triggers/{trigger_id}/errors
GET campaigns/{campaign_id}/metrics campaigns/{campaign_id}/metrics/links campaigns/{campaign_id}/journey_metrics
GET campaigns/{campaign_id}/actions/{action_id}/metrics campaigns/{campaign_id}/actions/{action_id}/metrics/links
GET broadcasts/{broadcast_id}/triggers
GET broadcasts/{broadcast_id}/metrics broadcasts/{broadcast_id}/metrics/links
GET broadcasts/{broadcast_id}/actions/{action_id}/metrics broadcasts/{broadcast_id}/actions/{action_id}/metrics/links
GET,POST newsletters
GET,DELETE newsletters/{newsletter_id}
POST newsletters/{newsletter_id}/send newsletters/{newsletter_id}/schedule newsletters/{newsletter_id}/language
GET newsletters/{newsletter_id}/contents newsletters/{newsletter_id}/metrics newsletters/{newsletter_id}/metrics/links newsletters/{newsletter_id}/messages
GET,PUT newsletters/{newsletter_id}/contents/{content_id}
GET newsletters/{newsletter_id}/contents/{content_id}/metrics newsletters/{newsletter_id}/contents/{content_id}/metrics/links
GET,PUT,DELETE newsletters/{newsletter_id}/language/{language}
GET,POST newsletters/{newsletter_id}/test_groups
POST newsletters/{newsletter_id}/test_group/{group_id}/language
GET,PUT,DELETE newsletters/{newsletter_id}/test_group/{group_id}/language/{language}
GET transactional/{transactional_id}/metrics transactional/{transactional_id}/metrics/links
GET,POST collections
GET,PUT,DELETE collections/{collection_id}
GET,PUT collections/{collection_id}/content
GET,POST,PUT snippets
DELETE snippets/{name}
GET,POST reporting_webhooks
GET,PUT,DELETE reporting_webhooks/{webhook_id}
GET esp/search_suppression/{email} esp/suppression/{type} esp/domains/{domain}/suppression/{type}
POST,DELETE esp/suppression/{type}/{email}
POST live_notifications/start live_notifications/update live_notifications/end
GET live_notifications/{instance_id}
GET assets assets/folders
POST assets/files assets/folders
GET,PUT,DELETE assets/files/{asset_id} assets/folders/{folder_id}
GET,POST design_studio/components design_studio/folders design_studio/emails
GET,PUT,DELETE design_studio/components/{id} design_studio/folders/{id} design_studio/emails/{id}
`
