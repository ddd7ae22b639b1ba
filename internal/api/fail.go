package api

import (
	"log/slog"
	"math"
	"net/http"
	"strconv"
)

// fail answers with an error. What the caller may not see goes to the log.
func (m *Mux) fail(c *Call, shape Shape, err error) {
	status := StatusOf(err)
	if level := levelOf(status); level > slog.LevelDebug {
		m.o.Log.Log(c.R.Context(), level, "request failed", "request_id", c.RequestID, "status", status, "method", c.R.Method, "route", routePath(c), "error", err)
	}
	if c.rw.status != 0 {
		return // the answer was begun; it cannot be taken back
	}
	h := c.W.Header()
	switch e := public(firstOf(err)); {
	case status == http.StatusUnauthorized:
		h.Set("WWW-Authenticate", challenge(c.Route))
	case e.RetryAfter < 0: // to try again soon is no use
	case e.RetryAfter > 0:
		h.Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(e.RetryAfter.Seconds())))))
	case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
		h.Set("Retry-After", "1")
	}
	body, contentType := render(shape, status, err, c.RequestID)
	_ = c.write(status, body, contentType) //nolint:errcheck // it only fails when the caller is gone
}

func firstOf(err error) error {
	for _, e := range Errors(err) {
		return e
	}
	return err
}

func routePath(c *Call) string {
	if c.Route == nil {
		return ""
	}
	return c.Route.Path
}

func challenge(r *Route) string {
	if r != nil && (r.Auth == TrackKey || r.Auth == WriteKey || r.Shape == PipelineErrors) {
		return `Basic realm="rapport"`
	}
	return "Bearer"
}

// levelOf says how loud a failure is: a defect of ours, a dependency in trouble, or the caller's own affair.
func levelOf(status int) slog.Level {
	switch status {
	case http.StatusInternalServerError:
		return slog.LevelError
	case http.StatusServiceUnavailable:
		return slog.LevelWarn
	}
	return slog.LevelDebug
}
