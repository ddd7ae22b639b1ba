package message

import "rapport.example/internal/value"

// ParseEmail reads an email document.
func ParseEmail(doc value.Value, path string) (*Email, error) { return &Email{}, nil }

// ParseSender reads a sender document.
func ParseSender(doc value.Value, path string) (*Sender, error) { return &Sender{}, nil }

// ParseLayout reads a layout document.
func ParseLayout(doc value.Value, path string) (*Layout, error) { return &Layout{}, nil }
