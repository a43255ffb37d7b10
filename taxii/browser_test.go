package taxii

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

// What a browser keeps is worth nothing here, whatever it is called: nothing that a page makes a browser send lets in.
func TestNoCookieLetsIn(t *testing.T) {
	f := newFixture(t)
	for _, cookie := range []string{"slnode-01234567=tok-ada", "sl_token=tok-ada", "Authorization=Bearer tok-ada", "token=tok-ada; X-API-Key=tok-ada"} {
		for _, path := range []string{"/acme/", "/acme/collections/", "/v1/", "/v1/acme/users"} {
			f.anonymous(http.MethodGet, path, "", "Cookie: "+cookie).want(t, http.StatusUnauthorized)
		}
	}
}

func TestABrowsersLoginIsThatOfTheAPI(t *testing.T) {
	f := newFixture(t)
	r := httptest.NewRequest(http.MethodPost, "/-/login", nil)
	session, err := f.handler.Enter(r, "paul", "pw-paul")
	if err != nil {
		t.Fatal(err)
	}
	f.anonymous(http.MethodGet, "/acme/", "", "Authorization: Bearer "+session.Token).want(t, http.StatusOK)
	who, err := f.handler.Who(r, session.Token)
	if err != nil || who.User != "paul" || who.Role != RolePublisher {
		t.Errorf("the token is %+v's: %v", who, err)
	}
	if err := f.handler.Confirm(r, who, "pw-paul"); err != nil {
		t.Error(err)
	}
	for _, wrong := range []string{"", "pw-ada"} {
		if err := f.handler.Confirm(r, who, wrong); !errors.Is(err, ErrUnauthorized) {
			t.Errorf("the password %q: %v", wrong, err)
		}
		if _, err := f.handler.Enter(r, "paul", wrong); !errors.Is(err, ErrUnauthorized) {
			t.Errorf("a login with the password %q: %v", wrong, err)
		}
	}
	if err := f.handler.Leave(r, who, session.Token); err != nil {
		t.Fatal(err)
	}
	if _, err := f.handler.Who(r, session.Token); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("after the end of the login: %v", err)
	}
}

// Guesses count against one limit, wherever they are made.
func TestABrowsersGuessesAreLimited(t *testing.T) {
	f := newFixture(t)
	r := httptest.NewRequest(http.MethodPost, "/-/login", nil)
	for range 200 {
		_, err := f.handler.Enter(r, "paul", "a guess")
		var retry *RetryAfterError
		if errors.As(err, &retry) {
			if retry.After <= 0 {
				t.Errorf("it may come again after %v", retry.After)
			}
			return
		}
		if !errors.Is(err, ErrUnauthorized) {
			t.Fatal(err)
		}
	}
	t.Error("200 guesses are taken")
}
