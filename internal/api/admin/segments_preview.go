package admin

import (
	"net/http"

	"rapport.example/internal/api"
	"rapport.example/internal/api/app"
)

// PreviewAnswer is what a condition comes to over everybody.
type PreviewAnswer struct {
	Count    int64         `json:"count"`    // people who meet it, exactly
	People   int64         `json:"people"`   // everybody there is
	Sentence string        `json:"sentence"` // the condition in English
	Tree     app.Line      `json:"tree"`
	Samples  []Person      `json:"samples"` // spread evenly over those who meet it
	Method   string        `json:"method"`  // columns: from what is kept in memory; scan: everybody's document was read
	Warnings []app.Warning `json:"warnings"`
}

func (s *Surface) previewSegment(c *api.Call) error {
	in, err := app.ReadPreview(c)
	if err != nil {
		return err
	}
	w, err := s.of(c)
	if err != nil {
		return err
	}
	ctx := c.R.Context()
	a, err := app.Preview(ctx, s.o.Store, s.o.Audience, w.ID, in.Conditions, "conditions", *in.Samples, w.Now(s.o.Now()))
	if err != nil {
		return err
	}
	out := PreviewAnswer{
		Count: a.Answer.Count, People: a.Answer.People, Sentence: a.Tree.Sentence(), Tree: a.Lines, Method: a.Method(), Warnings: a.Warnings,
	}
	if out.Samples, err = s.named(ctx, w.ID, a.Answer.Samples); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, out)
}
