package person

import "testing"

// FuzzParsePath reads any path value: what is taken can be stored and looked up, and reads the same again.
func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"5", "a@b.c", "cio_abc", "cio_", "@", "a/b+c%@ d", "\x00", "\xff", "cio_cio_x", " Ada@Example.com"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		i, err := ParsePath(s)
		if err != nil {
			return
		}
		if _, err := Check(i); err != nil || i.Key(1).Value == "" {
			t.Fatalf("%q gives %+v, %v", s, i, err)
		}
		if i.Type != ByCIO && i.Value != s {
			t.Fatalf("%q became %q", s, i.Value)
		}
	})
}
