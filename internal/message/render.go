package message

// Render makes the mail of one delivery.
func Render(e *Email, l *Layout, from *Sender, s Scope, links Links) (*Mail, error) {
	return &Mail{}, nil
}
