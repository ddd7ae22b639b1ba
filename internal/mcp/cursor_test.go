package mcp

import "testing"

// FuzzCursor sends made-up cursors and limits: only what this server sealed for the same call goes on anywhere.
func FuzzCursor(f *testing.F) {
	s, other := &Server{o: Options{Secret: []byte("one")}}, &Server{o: Options{Secret: []byte("two")}}
	f.Add(s.cursor("next", "get_person", "1"), 5, "1")
	f.Add(other.cursor("next", "get_person", "1"), 0, "1")
	f.Add("AAAA", -1, "\x00")
	f.Fuzz(func(t *testing.T, cursor string, limit int, arg string) {
		n, start, err := s.page(page{Limit: limit, Cursor: cursor}, "get_person", arg)
		if err == nil && (n < 1 || n > 100) {
			t.Fatalf("limit %d", n)
		}
		if err == nil && start != "" && (start != "next" || arg != "1") {
			t.Fatalf("cursor %q goes on at %q", cursor, start)
		}
		if _, start, err = s.page(page{Cursor: s.cursor("at", "get_person", arg)}, "get_person", arg); err != nil || start != "at" {
			t.Fatalf("own cursor: %q, %v", start, err)
		}
		if _, _, err = s.page(page{Cursor: other.cursor("at", "get_person", arg)}, "get_person", arg); err == nil {
			t.Fatal("another server's cursor was taken")
		}
	})
}
