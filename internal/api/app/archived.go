package app

import (
	"encoding/json"
	"fmt"
	"net/http"

	"rapport.example/internal/api"
	"rapport.example/internal/delivery"
	"rapport.example/internal/fault"
	"rapport.example/internal/workspace"
)

type (
	// ArchivedMessage is what a message said. URL and Method are of webhooks, which there are none of yet.
	ArchivedMessage struct {
		ID        string                `json:"id"`
		Body      string                `json:"body"`
		From      string                `json:"from"`
		ReplyTo   string                `json:"reply_to"`
		Recipient string                `json:"recipient"`
		Subject   string                `json:"subject"`
		CC        string                `json:"cc"`
		BCC       string                `json:"bcc"`
		FakeBCC   bool                  `json:"fake_bcc"`
		Preheader string                `json:"preheader_text"`
		URL       string                `json:"url"`
		Method    string                `json:"request_method"`
		Headers   []delivery.SaidHeader `json:"headers"`
		Forgotten bool                  `json:"forgotten"` // never true: what is forgotten is a 404
	}

	// ArchivedMessageAnswer wraps an ArchivedMessage.
	ArchivedMessageAnswer struct {
		Message ArchivedMessage `json:"archived_message"`
	}
)

func (s *surface) archivedRoute() api.Route {
	r := s.get("/v1/messages/{message_id}/archived_message", ArchivedMessageAnswer{}, s.archivedMessage, "Reads what a message said.")
	r.Limit, r.Agent = api.LimitArchive, workspace.ReadSensitive
	return r
}

func (s *surface) archivedMessage(c *api.Call) error {
	d, err := s.message(c)
	if err != nil {
		return err
	}
	doc, err := s.o.Store.ArchivedMessage(c.R.Context(), c.Workspace, d.ID)
	if err != nil {
		return err
	}
	if doc == nil {
		return fault.New(fault.NotFound, "what the message said is not kept")
	}
	var said delivery.Said
	if err := json.Unmarshal(doc, &said); err != nil {
		return fmt.Errorf("read the archive of delivery %d: %w", d.ID, err)
	}
	out := ArchivedMessage{
		ID: d.Public, Body: said.Body, From: said.From, ReplyTo: said.ReplyTo, Recipient: said.Recipient, Subject: said.Subject,
		CC: said.CC, BCC: said.BCC, FakeBCC: said.FakeBCC, Preheader: said.Preheader, Headers: said.Headers,
	}
	if out.Headers == nil {
		out.Headers = []delivery.SaidHeader{}
	}
	return c.JSON(http.StatusOK, ArchivedMessageAnswer{out})
}
