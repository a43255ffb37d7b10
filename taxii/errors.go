package taxii

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// ErrorResource is the body of every answer that reports an error (section 3.6.1).
type ErrorResource struct {
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	ErrorID     string `json:"error_id,omitempty"`    // the request's id in the server's log
	ErrorCode   string `json:"error_code,omitempty"`  // [CodeMissing], or nothing
	HTTPStatus  string `json:"http_status,omitempty"` // a string, as the standard has it
}

// CodeMissing is the error_code of a request that names something, such as a member, that is not there.
const CodeMissing = "missing"

// problem is an error with the answer that it gets.
type problem struct {
	status      int
	description string      // for the client
	code        string      // its error_code, or ""
	header      http.Header // further headers, or nil
	cause       error       // for the log, or nil
}

func (p *problem) Error() string {
	if p.cause != nil {
		return p.cause.Error()
	}
	return p.description
}

func (p *problem) Unwrap() error { return p.cause }

func problemf(status int, format string, args ...any) *problem {
	return &problem{status: status, description: fmt.Sprintf(format, args...)}
}

// with adds a header to the answer.
func (p *problem) with(name string, values ...string) *problem {
	if p.header == nil {
		p.header = make(http.Header)
	}
	for _, v := range values {
		p.header.Add(name, v)
	}
	return p
}

// retryLater refuses with a status and the time after which to come again.
func retryLater(status int, after time.Duration, description string) *problem {
	seconds := max(1, int64(math.Ceil(after.Seconds())))
	return problemf(status, "%s", description).with("Retry-After", strconv.FormatInt(seconds, 10))
}

// unauthorized is the 401 that names the schemes (section 1.6.9).
func unauthorized(description string) *problem {
	return problemf(http.StatusUnauthorized, "%s", description).
		with("WWW-Authenticate", `Basic realm="slnode", charset="UTF-8"`, `Bearer realm="slnode"`)
}

// tooManyAttempts is the 429 for guessing.
func tooManyAttempts(after time.Duration) *problem {
	return retryLater(http.StatusTooManyRequests, after, "Too many attempts with wrong credentials.")
}

// problemOf turns a handler's error into its answer. What is not known to be
// fit for the client's eyes becomes a 500 that says nothing.
func problemOf(err error) *problem {
	var (
		p       *problem
		invalid *InvalidError
		retry   *RetryAfterError
		limit   *LimitError
		expired *ExpiredError
	)
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &invalid):
		p = problemf(http.StatusUnprocessableEntity, "%s", invalid.Reason)
		if invalid.Missing {
			p.code = CodeMissing
		}
		return p
	case errors.As(err, &limit):
		return retryLater(http.StatusTooManyRequests, limit.After, limit.Reason)
	case errors.As(err, &retry):
		return retryLater(http.StatusServiceUnavailable, retry.After, "The server is busy.")
	case errors.As(err, &expired):
		return unauthorized(fmt.Sprintf("This API key has expired, at %s: an administrator has to make another one.", expired.At.UTC().Format(time.RFC3339)))
	case errors.Is(err, ErrUnauthorized):
		return unauthorized("The credentials are wrong, unknown or expired.")
	case errors.Is(err, ErrForbidden):
		return problemf(http.StatusForbidden, "This account may not do that.")
	case errors.Is(err, ErrNotFound):
		return problemf(http.StatusNotFound, "There is nothing here that this account may see.")
	case errors.Is(err, ErrFull):
		return retryLater(http.StatusInsufficientStorage, time.Minute, "The server's disk is full: it takes objects in again when there is room.")
	case errors.Is(err, ErrConflict):
		return problemf(http.StatusConflict, "%s", err)
	}
	return &problem{
		status:      http.StatusInternalServerError,
		description: "The server failed; error_id finds the reason in its log.",
		cause:       err,
	}
}
