package taxii

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// What follows is for a handler beside this one whose users are the same people, in browsers. Their logins count
// against the same limits and stand in the same audit log. This one reads no cookie.

// Enter trades a password for a token, as POST /v1/login does. Its error may be ErrUnauthorized or *RetryAfterError.
func (h *Handler) Enter(r *http.Request, user, password string) (Session, error) {
	x := &exchange{r: r, id: uuid.NewString()}
	if h.accounts == nil || user == "" || password == "" || len(user) > MaxAccountField || len(password) > MaxAccountField {
		return Session{}, ErrUnauthorized
	}
	if err := h.gate.admit(r, Principal{}); err != nil {
		return Session{}, plain(err)
	}
	var session Session
	err := h.gate.login(r, user, password, func(ctx context.Context) (err error) {
		session, err = h.accounts.Login(ctx, user, password)
		return err
	})
	if err != nil {
		h.noteRefusal(x, user, "password", err)
		return Session{}, plain(err)
	}
	h.note(x, Event{Name: EventLogin, User: session.Account.User, Role: session.Account.Role.String(), Credential: "password", Detail: "for the console"})
	return session, nil
}

// Who tells whose a token is, and counts the request. Its error may be ErrUnauthorized or *RetryAfterError.
func (h *Handler) Who(r *http.Request, token string) (Principal, error) {
	who, err := h.gate.token(r, token)
	if limit := h.gate.admit(r, who); limit != nil {
		return Principal{}, plain(limit)
	}
	if err != nil {
		h.noteRefusal(&exchange{r: r, id: uuid.NewString()}, "", "token", err)
		return Principal{}, plain(err)
	}
	return who, nil
}

// Confirm finds out whether a password is that of somebody who is known already. Its error may be ErrUnauthorized or
// *RetryAfterError.
func (h *Handler) Confirm(r *http.Request, who Principal, password string) error {
	if password == "" || len(password) > MaxAccountField {
		return ErrUnauthorized
	}
	err := h.gate.login(r, who.User, password, func(ctx context.Context) error {
		_, err := h.gate.backend.Password(ctx, who.User, password)
		return err
	})
	if err != nil {
		h.noteRefusal(&exchange{r: r, id: uuid.NewString(), who: who}, who.User, "password", err)
	}
	return plain(err)
}

// Leave ends a token, as POST /v1/logout does.
func (h *Handler) Leave(r *http.Request, who Principal, token string) error {
	if err := h.accounts.Logout(r.Context(), token); err != nil {
		return err
	}
	h.Note(r, who, Event{Name: EventLogout})
	return nil
}

// Note records what somebody did.
func (h *Handler) Note(r *http.Request, who Principal, e Event) {
	h.note(&exchange{r: r, id: uuid.NewString(), who: who}, e)
}

// Secure tells whether the client's connection is encrypted, as far as can be told.
func (h *Handler) Secure(r *http.Request) bool { return h.gate.proxies.secure(r) }

// Remote is the client's address, as trusted proxies tell it.
func (h *Handler) Remote(r *http.Request) string { return h.gate.remote(r) }

// plain is an error without the answer that the API would give.
func plain(err error) error {
	var p *problem
	if !errors.As(err, &p) {
		return err
	}
	switch seconds, parsed := strconv.Atoi(p.header.Get("Retry-After")); {
	case p.status == http.StatusUnauthorized:
		return ErrUnauthorized
	case parsed == nil:
		return &RetryAfterError{After: time.Duration(seconds) * time.Second}
	}
	return err
}
