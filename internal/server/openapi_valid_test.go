package server_test

import (
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"rapport.example/internal/workspace"
)

// TestOpenAPIDocuments asks a validator that is not ours whether each document is one of OpenAPI 3.1, examples included.
func TestOpenAPIDocuments(t *testing.T) {
	t.Parallel()
	i := started(t, "off")
	for _, api := range []string{"track", "app", "pipelines", "admin"} {
		status, _, text := call(t, i, workspace.App, "GET", "/openapi/"+api+".json", "")
		if status != 200 {
			t.Fatalf("%s: %d", api, status)
		}
		doc, err := libopenapi.NewDocument(text)
		if err != nil {
			t.Fatalf("%s: %v", api, err)
		}
		model, err := doc.BuildV3Model()
		if err != nil || model.Model.Version != "3.1.0" && model.Model.Version != "3.1.1" {
			t.Fatalf("%s: %v", api, err)
		}
		v, errs := validator.NewValidator(doc)
		if len(errs) > 0 {
			t.Fatalf("%s: %v", api, errs)
		}
		if valid, wrong := v.ValidateDocument(); !valid {
			for _, e := range wrong {
				t.Errorf("%s: %s: %s", api, e.Message, e.Reason)
			}
		}
	}
}
