package app

import (
	"net/http"

	"rapport.example/internal/api"
	"rapport.example/internal/definition"
	"rapport.example/internal/fault"
	"rapport.example/internal/value"
	"rapport.example/internal/workspace"
)

type (
	// Transactional is a transactional message.
	Transactional struct {
		ID              int64  `json:"id"`
		Name            string `json:"name"`
		Description     string `json:"description"`
		SendUnsubbed    bool   `json:"send_to_unsubscribed"`
		LinkTracking    bool   `json:"link_tracking"`
		OpenTracking    bool   `json:"open_tracking"`
		HideMessageBody bool   `json:"hide_message_body"`
		QueueDrafts     bool   `json:"queue_drafts"`
		CreatedAt       int64  `json:"created_at"`
		UpdatedAt       int64  `json:"updated_at"`
	}

	// TransactionalsAnswer lists transactional messages.
	TransactionalsAnswer struct {
		Messages []Transactional `json:"messages"`
	}

	// TransactionalAnswer wraps a Transactional.
	TransactionalAnswer struct {
		Message Transactional `json:"message"`
	}

	// TransactionalContent is what a transactional message says in a language.
	TransactionalContent struct {
		ID int64 `json:"id"` // counts from 1 within the message: 1 is the message itself, then come its languages by name
		Content
	}

	// ContentsAnswer lists contents.
	ContentsAnswer struct {
		Contents []TransactionalContent `json:"contents"`
	}

	// ContentAnswer wraps a content.
	ContentAnswer struct {
		Content TransactionalContent `json:"content"`
	}

	// LanguageAnswer holds the one content of a language in a list, as the vendor has it.
	LanguageAnswer struct {
		Content []TransactionalContent `json:"content"`
	}
)

func (s *surface) transactionalRoutes() []api.Route {
	const one = "/v1/transactional/{transactional_id}"
	put := func(path string, response any, h api.Handler, doc string) api.Route {
		return api.Route{
			Method: http.MethodPut, Path: path, Auth: api.AppKey, Agent: workspace.WriteLive, Limit: api.LimitApp, Shape: api.AppErrors, MaxBody: MaxContent,
			Request: ContentRequest{}, Response: response, Handler: s.fresh(h), Doc: doc,
		}
	}
	read := s.get(one+"/language/{language}", LanguageAnswer{}, s.languageContent, "Reads what a transactional message says in a language.")
	change := put(one+"/language/{language}", LanguageAnswer{}, s.putLanguageContent, "Changes what a transactional message says in a language.")
	read.Shape, change.Shape = api.MetaError, api.MetaError // app-api.md §1
	routes := []api.Route{
		read, change,
		s.get("/v1/transactional", TransactionalsAnswer{}, s.listTransactional, "Lists transactional messages."),
		s.get(one, TransactionalAnswer{}, s.getTransactional, "Reads a transactional message."),
		s.get(one+"/contents", ContentsAnswer{}, s.listContents, "Lists what a transactional message says, in its languages."),
	}
	for _, word := range [...]string{"content", "contents"} { // the vendor's documents have both
		routes = append(routes,
			s.get(one+"/"+word+"/{content_id}", ContentAnswer{}, s.getContent, "Reads a content of a transactional message."),
			put(one+"/"+word+"/{content_id}", ContentAnswer{}, s.putContent, "Changes a content of a transactional message."),
		)
	}
	return routes
}

func transactionalOf(r *definition.Row) Transactional {
	flag := func(name string, def bool) bool {
		if b, ok := r.Body.Get(name).Bool(); ok {
			return b
		}
		return def
	}
	tracked := flag("tracked", true)
	return Transactional{
		ID: r.ID, Name: title(r), Description: r.Body.Get("description").Text(), SendUnsubbed: flag("send_to_unsubscribed", true), LinkTracking: tracked,
		OpenTracking: tracked, CreatedAt: r.Created / 1000, UpdatedAt: r.Updated / 1000,
	}
}

func (s *surface) listTransactional(c *api.Call) error {
	rows, err := s.o.Store.CurrentDefinitions(c.R.Context(), c.Workspace, definition.Transactionals)
	if err != nil {
		return err
	}
	out := TransactionalsAnswer{Messages: []Transactional{}}
	for i := range rows {
		out.Messages = append(out.Messages, transactionalOf(&rows[i]))
	}
	return c.JSON(http.StatusOK, out)
}

// transactionalIn is the transactional message in the path, with what is read about it.
func (s *surface) transactionalIn(c *api.Call) (*contents, *definition.Row, error) {
	id, err := c.ParamID("transactional_id")
	if err != nil {
		return nil, nil, err
	}
	t, err := s.contents(c)
	if err != nil {
		return nil, nil, err
	}
	r := t.byID(definition.Transactionals, id)
	if r == nil {
		return nil, nil, fault.New(fault.NotFound, "there is no such transactional message")
	}
	return t, r, nil
}

func (s *surface) getTransactional(c *api.Call) error {
	_, r, err := s.transactionalIn(c)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, TransactionalAnswer{transactionalOf(r)})
}

func (t *contents) transactional(r *definition.Row, n int, language string) TransactionalContent {
	return TransactionalContent{ID: int64(n + 1), Content: t.read(r, title(r), r.Body, language)}
}

func (s *surface) listContents(c *api.Call) error {
	t, r, err := s.transactionalIn(c)
	if err != nil {
		return err
	}
	out := ContentsAnswer{Contents: []TransactionalContent{}}
	for n, language := range languagesOf(r.Body) {
		out.Contents = append(out.Contents, t.transactional(r, n, language))
	}
	return c.JSON(http.StatusOK, out)
}

// contentIn is the content in the path: its place among the languages, and its language.
func contentIn(c *api.Call, r *definition.Row) (n int, language string, err error) {
	id, err := c.ParamID("content_id")
	if err != nil {
		return 0, "", err
	}
	all := languagesOf(r.Body)
	if id > int64(len(all)) {
		return 0, "", fault.New(fault.NotFound, "there is no such content")
	}
	return int(id) - 1, all[id-1], nil
}

func (s *surface) getContent(c *api.Call) error {
	t, r, err := s.transactionalIn(c)
	if err != nil {
		return err
	}
	n, language, err := contentIn(c, r)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, ContentAnswer{t.transactional(r, n, language)})
}

func (s *surface) putContent(c *api.Call) error {
	var n int
	t, r, language, err := s.changeContent(c, func(r *definition.Row) (language string, err error) {
		n, language, err = contentIn(c, r)
		return language, err
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, ContentAnswer{t.transactional(r, n, language)})
}

// changeContent changes what the message in the path says, in the language that in finds, and reads it again.
func (s *surface) changeContent(c *api.Call, in func(*definition.Row) (language string, err error)) (*contents, *definition.Row, string, error) {
	body, err := c.Object()
	if err != nil {
		return nil, nil, "", err
	}
	if err := words(c, body); err != nil {
		return nil, nil, "", err
	}
	s.naming.Lock()
	defer s.naming.Unlock()
	t, r, err := s.transactionalIn(c)
	if err != nil {
		return nil, nil, "", err
	}
	language, err := in(r)
	if err != nil {
		return nil, nil, "", err
	}
	changed, err := t.change(r.Body, body, language)
	if err == nil {
		err = s.save(c, t, r, changed)
	}
	if err != nil {
		return nil, nil, "", err
	}
	t, r, err = s.transactionalIn(c)
	return t, r, language, err
}

func (s *surface) languageContent(c *api.Call) error {
	t, r, err := s.transactionalIn(c)
	if err != nil {
		return err
	}
	language, err := languageIn(c, r.Body)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, LanguageAnswer{[]TransactionalContent{t.transactional(r, placeOf(r.Body, language), language)}})
}

func (s *surface) putLanguageContent(c *api.Call) error {
	t, r, language, err := s.changeContent(c, func(r *definition.Row) (string, error) { return languageIn(c, r.Body) })
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, LanguageAnswer{[]TransactionalContent{t.transactional(r, placeOf(r.Body, language), language)}})
}

func placeOf(doc value.Value, language string) int {
	for n, l := range languagesOf(doc) {
		if l == language {
			return n
		}
	}
	return 0
}
