package smtp

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"

	"github.com/wneessen/go-mail"

	"rapport.example/internal/delivery"
)

// verdict is what an attempt on one connection came to.
type verdict struct {
	delivery.Receipt
	good  bool // the connection can be used again
	stale bool // the connection was dead or in disorder before the message was begun
}

// judge reads the server's answer by the rules of RFC 5321 §4.2: 4 is later, 5 is never; what broke before the message
// was complete is later; what broke after that is unknown.
func (c *Channel) judge(err error, delivered bool) verdict {
	var se *mail.SendError
	switch {
	case err == nil:
		return verdict{Receipt: delivery.Receipt{State: delivery.Sent}, good: true}
	case delivered: // the server took it; only what follows went wrong
		return verdict{Receipt: delivery.Receipt{State: delivery.Sent}}
	case !errors.As(err, &se):
		return verdict{Receipt: delivery.Receipt{State: delivery.Queued, Reason: c.say(err.Error())}}
	}
	code, text := se.ErrorCode(), answer(se)
	v := verdict{
		Receipt: delivery.Receipt{Reason: c.say(text)},
		// After DATA was refused the server may still be in the transaction, so that connection is not kept.
		good:  code != 0 && code != 421 && (se.Reason == mail.ErrSMTPMailFrom || se.Reason == mail.ErrSMTPRcptTo || se.Reason == mail.ErrSMTPDataClose),
		stale: se.Reason == mail.ErrConnCheck || se.Reason == mail.ErrSMTPMailFrom && (code == 0 || code == 421 || code == 503),
	}
	v.good = v.good && !v.stale
	switch {
	case code == 0 && se.Reason == mail.ErrSMTPDataClose:
		v.State, v.Reason = delivery.OutcomeUnknown, "the whole message was handed over, but "+v.Reason
	case se.Reason == mail.ErrGetSender || se.Reason == mail.ErrGetRcpts || se.Reason == mail.ErrNoUnencoded:
		v.State = delivery.Failed
	case code < 500 || login[code] || v.stale:
		v.State = delivery.Queued
	default:
		v.State = refused(text, se.Reason == mail.ErrSMTPRcptTo)
	}
	return v
}

// login are refusals of us, not of the message: the operator has to mend something, and the mail can wait for that.
var login = map[int]bool{530: true, 534: true, 535: true, 538: true}

// status is an enhanced status code (RFC 3463) behind the reply code.
var status = regexp.MustCompile(`^[45]\d\d[ -]([245])\.(\d{1,3})\.(\d{1,3})\b`)

// refused tells an address that is refused for good from a message that is. Servers that look at the address late, or at
// the message early, say so in the enhanced status code.
func refused(text string, atAddress bool) delivery.State {
	if m := status.FindStringSubmatch(text); m != nil {
		switch subject, detail := m[2], m[3]; {
		case subject == "1" && (detail == "7" || detail == "8"): // the sender's address
			return delivery.Failed
		case subject == "1" || subject == "2": // address, mailbox
			return delivery.Bounced
		case subject == "7": // policy: who we are, or what the message is
			return delivery.Failed
		}
	}
	if atAddress {
		return delivery.Bounced
	}
	return delivery.Failed
}

// reply is a code and a quoted text, as net/textproto writes a server's reply.
var reply = regexp.MustCompile(`\b(\d{3}) ("(?:[^"\\]|\\.)*")`)

// answer is the server's reply, or what broke, without what the libraries put around it. Of several replies it is the
// last with the code that counts.
func answer(se *mail.SendError) string {
	s := strings.TrimPrefix(se.Error(), se.Reason.String()+": ")
	all := reply.FindAllStringSubmatch(s, -1)
	for i := len(all) - 1; i >= 0; i-- {
		if text, err := strconv.Unquote(all[i][2]); err == nil && all[i][1] == strconv.Itoa(se.ErrorCode()) {
			return all[i][1] + " " + strings.Join(strings.Fields(text), " ")
		}
	}
	for _, end := range []string{", affected recipient(s): ", ", affected message ID: "} {
		s, _, _ = strings.Cut(s, end)
	}
	return strings.Join(strings.Fields(s), " ")
}

// most is how long a reason gets, in bytes.
const most = 500

// say makes one readable line of what a server or the network said: without secrets, which a server may repeat.
func (c *Channel) say(s string) string {
	for _, n := range []struct{ in, out string }{
		{"i/o timeout", "the mail server did not answer in time"},
		{io.EOF.Error(), "the mail server closed the connection"},
		{"connection reset by peer", "the mail server closed the connection"},
		{"broken pipe", "the mail server closed the connection"},
		{net.ErrClosed.Error(), "the connection was closed"},
	} {
		if strings.HasSuffix(s, n.in) {
			return n.out
		}
	}
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ")
	if c.o.Password != "" {
		s = c.secrets.Replace(s)
	}
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// unreachable is the reason when no connection came about.
func (c *Channel) unreachable(err error) string {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return "the mail server cannot be reached: it did not answer in time"
	}
	return "the mail server cannot be reached: " + c.say(err.Error())
}

// hide replaces the password in all forms in which it travels.
func hide(user, password string) *strings.Replacer {
	const hidden = "[hidden]"
	text := base64.StdEncoding.EncodeToString
	return strings.NewReplacer(
		text([]byte("\x00"+user+"\x00"+password)), hidden, text([]byte(password)), hidden, password, hidden,
	)
}
