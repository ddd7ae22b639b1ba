package store

import (
	"rapport.example/internal/definition"
	"rapport.example/internal/delivery"
	"rapport.example/internal/event"
	"rapport.example/internal/journey"
	"rapport.example/internal/person"
	"rapport.example/internal/timer"
	"rapport.example/internal/value"
	"rapport.example/internal/workspace"
)

// Column lists and scan functions, one pair a noun. A list names the columns in the order of its scan function; queries
// that join give the table the alias in the list.
const (
	workspaceColumns  = `id, name, partition_id, clock, gen, sweep, sweep_end, created`
	personColumns     = `p.workspace, p.person, p.doc`
	activityColumns   = `a.workspace, a.seq, a.person, a.type, a.name, a.at, a.received, a.caller_id, a.anonymous, a.data, a.prev, a.prev_named`
	timerColumns      = `workspace, person, kind, ref, due`
	journeyColumns    = `j.workspace, j.person, j.id, j.campaign, j.version, j.state`
	deliveryColumns   = `d.workspace, d.id, d.public_id, d.person, d.campaign, d.journey, d.action, d.action_id, d.visit, d.transactional, d.version, d.state, d.epoch, d.due, d.lease, d.attempts, d.created, d.recipient, d.subject, d.reason, d.metrics, d.data`
	definitionColumns = `workspace, kind, id, version, slug, body, gen, current, deleted, created, updated`
)

func scanWorkspace(r row) (workspace.Workspace, error) {
	var w workspace.Workspace
	var partition int64
	err := r.Scan(&w.ID, &w.Name, &partition, &w.Clock, &w.Gen, &w.Sweep, &w.SweepEnd, &w.Created)
	w.Partition = int32(partition)
	return w, err
}

func scanPerson(r row) (*person.Document, error) {
	ref, doc, err := scanStored(r)
	if err != nil {
		return nil, err
	}
	return person.Decode(ref, doc)
}

// scanStored is scanPerson with the document as it is stored.
func scanStored(r row) (person.Ref, []byte, error) {
	var ws, ordinal int64
	var doc []byte
	err := r.Scan(&ws, &ordinal, &doc)
	return person.Ref{Workspace: ws, Ordinal: uint32(ordinal)}, doc, err
}

func scanActivity(r row) (event.Activity, error) {
	var a event.Activity
	var who, typ int64
	var data []byte
	err := r.Scan(&a.Workspace, &a.Seq, &who, &typ, &a.Name, &a.At, &a.Received, &a.ID, &a.Anonymous, &data, &a.Prev, &a.PrevNamed)
	a.Person, a.Type, a.Data = uint32(who), event.Type(typ), value.Value(data)
	return a, err
}

func scanTimer(r row) (timer.Timer, error) {
	var t timer.Timer
	var who, kind int64
	err := r.Scan(&t.Workspace, &who, &kind, &t.Ref, &t.Due)
	t.Person, t.Kind = uint32(who), timer.Kind(kind)
	return t, err
}

func scanJourney(r row) (journey.Journey, error) {
	var j journey.Journey
	var who int64
	var state []byte
	if err := r.Scan(&j.Workspace, &who, &j.ID, &j.Campaign, &j.Version, &state); err != nil {
		return j, err
	}
	j.Person = uint32(who)
	return j, decodeJourney(&j, state)
}

func scanDelivery(r row) (delivery.Delivery, error) {
	var d delivery.Delivery
	var who, state int64
	var metrics, data []byte
	err := r.Scan(&d.Workspace, &d.ID, &d.Public, &who, &d.Campaign, &d.Journey, &d.Action, &d.ActionID, &d.Visit,
		&d.Transactional, &d.Version, &state, &d.Epoch, &d.Due, &d.Lease, &d.Attempts, &d.Created, &d.Recipient,
		&d.Subject, &d.Reason, &metrics, &data)
	d.Person, d.State, d.Metrics, d.Data = uint32(who), delivery.State(state), value.Value(metrics), value.Value(data)
	return d, err
}

func scanDefinition(r row) (definition.Row, error) {
	var d definition.Row
	var body string
	err := r.Scan(&d.Workspace, &d.Kind, &d.ID, &d.Version, &d.Slug, &body, &d.Gen, &d.Current, &d.Deleted, &d.Created, &d.Updated)
	if body != "" {
		d.Body = value.Value(body)
	}
	return d, err
}
