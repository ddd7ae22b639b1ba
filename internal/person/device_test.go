package person_test

import (
	"fmt"
	"strings"
	"testing"

	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

func TestDeviceMerge(t *testing.T) {
	t.Parallel()
	many := make([]string, person.MaxAttributes+1)
	for i := range many {
		many[i] = fmt.Sprintf(`"a%d":"1"`, i)
	}
	for name, c := range map[string]struct {
		had, over, want string
		refused         int
	}{
		"nothing":            {"", "", "", 0},
		"null attributes":    {`{"a":"1"}`, "", `{"a":"1"}`, 0},
		"numbers are text":   {"", `{"a":1.50,"b":true}`, `{"a":"1.50","b":"true"}`, 0},
		"kept beside new":    {`{"a":"1","b":"2"}`, `{"c":"3","a":"4"}`, `{"a":"4","b":"2","c":"3"}`, 0},
		"removed":            {`{"a":"1","b":"2"}`, `{"a":null,"b":"","c":null}`, "", 0},
		"nested is kept":     {"", `{"a":{"b":[1]}}`, `{"a":{"b":[1]}}`, 0},
		"status":             {"", `{"_last_status":"sent"}`, `{"_last_status":"sent"}`, 0},
		"status forgotten":   {`{"_last_status":"sent"}`, `{"_last_status":""}`, "", 0},
		"status unknown":     {"", `{"_last_status":"Sent"}`, "", 1},
		"push enabled":       {"", `{"push_enabled":false}`, `{"push_enabled":"false"}`, 0},
		"push enabled words": {"", `{"push_enabled":"yes"}`, "", 1},
		"no name":            {"", `{"":"1"}`, "", 1},
		"long name":          {"", `{"` + strings.Repeat("x", person.MaxAttributeName+1) + `":"1"}`, "", 1},
		"longest name":       {"", `{"` + strings.Repeat("x", person.MaxAttributeName) + `":"1"}`, `{"` + strings.Repeat("x", person.MaxAttributeName) + `":"1"}`, 0},
		"long value":         {"", `{"a":"` + strings.Repeat("x", person.MaxAttributeValue+1) + `"}`, "", 1},
		"too many":           {"", "{" + strings.Join(many, ",") + "}", "{" + strings.Join(many[:person.MaxAttributes], ",") + "}", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := person.Device{Attributes: parsed(t, c.had)}
			got, refused := d.Merge(parsed(t, c.over))
			if string(got) != c.want || len(refused) != c.refused {
				t.Errorf("Merge(%s) = %s, %q, want %s and %d refused", c.over, got, refused, c.want, c.refused)
			}
			if string(d.Attributes) != c.had {
				t.Errorf("the device was changed to %s", d.Attributes)
			}
		})
	}
}

func parsed(t *testing.T, s string) value.Value {
	t.Helper()
	if s == "" {
		return nil
	}
	v, err := value.Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
