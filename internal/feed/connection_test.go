package feed

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serviceledger/slnode/taxii"
)

func TestAnErrorIsFitToBeShown(t *testing.T) {
	c := &connection{secrets: []string{"hush-hush"}}
	for text, want := range map[string]string{
		"plain": "plain", "it is hush-hush, hush-hush": "it is (secret), (secret)", "a\x1b[2J\nb": "a [2J b",
		strings.Repeat("x", 400): strings.Repeat("x", 400), strings.Repeat("x", 401): strings.Repeat("x", 400) + "...",
		strings.Repeat("x", 399) + "é": strings.Repeat("x", 399) + "...",
	} {
		cause := errors.New(text)
		if err := c.clean(cause); err.Error() != want || !errors.Is(err, cause) {
			t.Errorf("%q is shown as %q, want %q", text, err, want)
		}
	}
	if err := c.clean(nil); err != nil {
		t.Error(err)
	}
}

func refusal(status int, after time.Duration) error {
	return fmt.Errorf("asking: %w", &taxii.ResponseError{Status: status, RetryAfter: after})
}

func TestAnErrorTellsWhetherAnotherTimeIsWorthWhile(t *testing.T) {
	for _, c := range []struct {
		err               error
		mayPass, rejected bool
	}{
		{refusal(400, 0), false, false}, {refusal(401, 0), false, true}, {refusal(403, 0), false, true}, {refusal(404, 0), false, false},
		{refusal(408, 0), true, false}, {refusal(425, 0), true, false}, {refusal(429, 0), true, false}, {refusal(500, 0), true, false}, {refusal(501, 0), false, false},
		{refusal(502, 0), true, false}, {refusal(503, 0), true, false}, {refusal(504, 0), true, false},
		{errors.New("the line is cut"), true, false}, {fmt.Errorf("x: %w", taxii.ErrTooLarge), false, false}, {fmt.Errorf("x: %w", errMalformed), false, false},
		{&tls.CertificateVerificationError{Err: errors.New("x")}, false, false},
	} {
		if got := mayPass(c.err); got != c.mayPass {
			t.Errorf("%v may pass: %v", c.err, got)
		}
		if got := Rejected(c.err); got != c.rejected {
			t.Errorf("%v is a refusal of the credentials: %v", c.err, got)
		}
	}
	if Pause(refusal(429, time.Hour)) != time.Hour || Pause(errors.New("x")) != 0 || Pause(nil) != 0 {
		t.Error("the pause is not what the source asked for")
	}
}

func TestWhatMayPassIsTriedAFewTimesWithLongerAndLongerPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			what     string
			fails    []error // one for each attempt
			attempts int
			tried    int
			least    time.Duration
		}{
			{"at once", nil, 4, 1, 0},
			{"the second time", []error{refusal(503, 0)}, 4, 2, time.Second},
			{"never", []error{refusal(503, 0), refusal(503, 0), refusal(503, 0), refusal(503, 0), nil}, 4, 4, 21 * time.Second},
			{"never, and somebody waits", []error{refusal(503, 0), nil}, 1, 1, 0},
			{"what can't pass", []error{refusal(401, 0), nil}, 4, 1, 0},
			{"as late as it asks", []error{refusal(429, 7*time.Second)}, 4, 2, 7 * time.Second},
			{"at once, as it asks", []error{refusal(429, 1)}, 4, 2, 1},
			{"as late as it may ask", []error{refusal(429, 2*time.Minute)}, 4, 2, 2 * time.Minute},
			{"later than that", []error{refusal(429, 2*time.Minute+1), nil}, 4, 1, 0},
		} {
			tried, began := 0, time.Now()
			err := patience{clock: systemClock(), attempts: c.attempts}.try(t.Context(), func(context.Context) error {
				if tried++; tried <= len(c.fails) {
					return c.fails[tried-1]
				}
				return nil
			})
			took := time.Since(began)
			if tried != c.tried || (err == nil) != (tried > len(c.fails)) || took < c.least || took > c.least*5/4 {
				t.Errorf("%s: tried %d times in %s, %v", c.what, tried, took, err)
			}
		}
	})
}

func TestARequestThatTakesTooLongIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		slow := func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		p := patience{clock: systemClock(), attempts: 1}
		if err := p.try(t.Context(), slow); err == nil || !strings.HasPrefix(err.Error(), "no answer within 2m0s: ") || time.Since(began) != 2*time.Minute {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began, p.attempts = time.Now(), 9
		if err := p.try(ctx, slow); !errors.Is(err, context.Canceled) || time.Since(began) != time.Second {
			t.Errorf("a run that was ended goes on for %s: %v", time.Since(began), err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), 500*time.Millisecond) // … and one that ends in a pause
		defer cancel()
		began = time.Now()
		if err := p.try(ctx, func(context.Context) error { return refusal(503, 0) }); statusOf(err) != 503 || time.Since(began) != 500*time.Millisecond {
			t.Errorf("a pause is made for %s: %v", time.Since(began), err)
		}
		if err := p.try(t.Context(), func(context.Context) error { return refusal(404, 0) }); strings.HasPrefix(err.Error(), "no answer") {
			t.Errorf("an answer is taken for none: %v", err)
		}
	})
}

func TestAnOperatorIsToldOfPlainHTTP(t *testing.T) {
	for url, told := range map[string]bool{
		"http://taxii.example": true, "http://192.0.2.1": true, "https://taxii.example": false,
		"http://localhost": false, "http://127.0.0.1:80": false, "http://[::1]": false,
	} {
		if notes := (Config{URL: url}).notes(); (len(notes) == 1) != told {
			t.Errorf("%s: %q", url, notes)
		}
	}
}

func TestAConfigurationIsWithinItsBounds(t *testing.T) {
	long := strings.Repeat("a", 63)
	for name, change := range map[string]func(*Config){
		"as it is": func(*Config) {}, "the longest name": func(c *Config) { c.Name = long }, "the largest page": func(c *Config) { c.PageSize = 10_000 },
		"one object": func(c *Config) { c.MaxObjects = 1 }, "plain HTTP": func(c *Config) { c.URL = "http://x" },
		"MISP": func(c *Config) { c.Kind, c.Collection, c.Credentials.APIKey = KindMISP, "", "k" },
	} {
		config := taxiiConfig("https://taxii.example")
		change(&config)
		if _, err := New(config, memo{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for want, change := range map[string]func(*Config){
		"name: ":                  func(c *Config) { c.Name = long + "a" },
		"name: \"-a\"":            func(c *Config) { c.Name = "-a" },
		"page_size":               func(c *Config) { c.PageSize = 10_001 },
		"url: it is not":          func(c *Config) { c.URL = "https:///x" },
		"url: it has a query":     func(c *Config) { c.URL = "https://x/?y" },
		"url: it has a query or":  func(c *Config) { c.URL = "https://x/#y" },
		"collection: MISP":        func(c *Config) { c.Kind, c.Credentials.APIKey = KindMISP, "k" },
		"url: it is not an http":  func(c *Config) { c.URL = "https://x\x7f" },
		"kind: \"\" is neither":   func(c *Config) { c.Kind = "" },
		"max_objects: a run must": func(c *Config) { c.MaxObjects = -1 },
	} {
		config := taxiiConfig("https://taxii.example")
		change(&config)
		if _, err := New(config, memo{}); err == nil || !strings.Contains(err.Error(), "feed "+config.Name+": "+want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestARequestOfMISPSaysWhoAsksAndFollowsNobody(t *testing.T) {
	var got *http.Request
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	c, err := (Config{Kind: KindMISP, URL: url + "/misp/", Credentials: Credentials{APIKey: "misp-key"}}).open(patience{clock: systemClock(), attempts: 1})
	must(t, err)
	defer c.close()
	if _, err := c.source.describe(t.Context()); statusOf(err) != http.StatusFound {
		t.Errorf("the error is %v", err)
	}
	for name, want := range map[string]string{"Authorization": "misp-key", "Accept": "application/json", "Content-Type": "application/json",
		"User-Agent": "slnode/devel (commit unknown; wire 1)"} {
		if got.URL.Path != "/misp/servers/getVersion" || got.Header.Get(name) != want {
			t.Errorf("%s has %s %q, want %q", got.URL, name, got.Header.Get(name), want)
		}
	}
}
