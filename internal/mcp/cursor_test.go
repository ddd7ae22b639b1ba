package mcp

import "testing"

// FuzzCursor sends made-up cursors and limits: only what this server sealed for the same call goes on anywhere.
func FuzzCursor(f *testing.F) {
	s, other := &Server{o: Options{Secret: []byte("one")}}, &Server{o: Options{Secret: []byte("two")}}
	f.Add(s.cursor(mark{Next: "next"}, "get_person", []any{"1"}), 5, "1")
	f.Add(other.cursor(mark{Next: "next"}, "get_person", []any{"1"}), 0, "1")
	f.Add("AAAA", -1, "\x00")
	f.Fuzz(func(t *testing.T, cursor string, limit int, arg string) {
		n, at, err := s.page(page{Limit: limit, Cursor: cursor}, "get_person", []any{arg})
		if err == nil && (n < 1 || n > 100) {
			t.Fatalf("limit %d", n)
		}
		if err == nil && at.Next != "" && (at.Next != "next" || arg != "1") {
			t.Fatalf("cursor %q goes on at %q", cursor, at.Next)
		}
		if _, at, err = s.page(page{Cursor: s.cursor(mark{Next: "at"}, "get_person", []any{arg})}, "get_person", []any{arg}); err != nil || at.Next != "at" {
			t.Fatalf("own cursor: %q, %v", at.Next, err)
		}
		if _, _, err = s.page(page{Cursor: other.cursor(mark{Next: "at"}, "get_person", []any{arg})}, "get_person", []any{arg}); err == nil {
			t.Fatal("another server's cursor was taken")
		}
	})
}
