package control

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

func TestTheAddressOfTheConsoleIsOneThatABrowserReaches(t *testing.T) {
	t.Parallel()
	o := newOperated(t)
	for _, c := range []struct {
		url   string
		names []string
		want  string
	}{
		{"http://127.0.0.1:9440", nil, "http://127.0.0.1:9440/-/enter?ticket=once"},
		{"http://0.0.0.0:9440", nil, "http://localhost:9440/-/enter?ticket=once"},
		{"http://[::]:9440", nil, "http://localhost:9440/-/enter?ticket=once"},
		{"https://0.0.0.0:9440", []string{"node.example", "other.example"}, "https://node.example:9440/-/enter?ticket=once"},
	} {
		if got, err := o.client.Console(t.Context(), Daemon{URL: c.url}, c.names); err != nil || got != c.want {
			t.Errorf("of %s it is %s, %v; want %s", c.url, got, err, c.want)
		}
	}
}

func TestWithoutAConsoleThereIsNoTicketAndTheReasonIsSaid(t *testing.T) {
	t.Parallel()
	o := newOperated(t)
	o.api.Ticket = nil
	if status, body := o.do(http.MethodPost, "/admin/console/ticket", "{}"); status != http.StatusBadRequest || !strings.Contains(body, "[console] enabled") {
		t.Errorf("it is %d %s", status, body)
	}
	o.api.Ticket = func() (string, error) { return "", errors.New("everything would be in the clear") }
	if status, body := o.do(http.MethodPost, "/admin/console/ticket", "{}"); status == http.StatusOK || !strings.Contains(body, "in the clear") {
		t.Errorf("it is %d %s", status, body)
	}
	if _, err := o.client.Console(t.Context(), Daemon{URL: "http://127.0.0.1:9440"}, nil); err == nil {
		t.Error("an address without a ticket is given")
	}
	if lines := o.lines(); len(lines) != 0 {
		t.Errorf("tickets that were not given are in the audit log: %q", lines)
	}
}
