package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"os/user"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/disclosure"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/taxii"
)

func TestAStreamIsVisitedItemByItemAndEndsWithWhatIsSaidOfAllOrWhyNot(t *testing.T) {
	t.Run("asked", func(t *testing.T) { visitsAStream(t, false) })
	t.Run("ordered", func(t *testing.T) { visitsAStream(t, true) })
}

func visitsAStream(t *testing.T, order bool) {
	type item struct{ N int }
	counting := stream[int, item, string]{path: "/count", order: order}
	router := mux.NewRouter()
	began := make(chan struct{}, 1)
	counting.serve(operatorRoutes(router, "token"), func(ctx context.Context, n int, visit func(item) error) (string, error) {
		if n < 0 {
			return "", problem.Input(errors.New("there is nothing below nothing"))
		}
		for i := range n {
			if err := visit(item{i}); err != nil {
				return "", err
			}
		}
		if n == 13 {
			return "", errors.New("it broke off")
		}
		began <- struct{}{}
		return "all", nil
	})
	server := httptest.NewServer(router)
	defer server.Close()
	c := &Client{base: server.URL, token: "token", http: server.Client()}
	ask := func(n int, visit func(item) error) (string, int, error) {
		count := 0
		end, err := counting.ask(t.Context(), c, n, func(i item) error {
			if i.N != count {
				t.Errorf("as %d comes %d", count, i.N)
			}
			count++
			return visit(i)
		})
		return end, count, err
	}
	all := func(item) error { return nil }
	for _, n := range []int{0, 1, 5000} {
		if end, count, err := ask(n, all); end != "all" || count != n || err != nil {
			t.Errorf("of %d: %q after %d, %v", n, end, count, err)
		}
		<-began
	}
	if _, count, err := ask(13, all); count != 13 || err == nil || err.Error() != "it broke off" {
		t.Errorf("one that breaks off: %d, %v", count, err)
	}
	if _, _, err := ask(-1, all); !isInput(err) {
		t.Errorf("a caller's mistake: %v", err)
	}
	response, err := c.ask(t.Context(), methodOf(order), "/admin/count", []byte("no number"))
	if err == nil {
		response.Body.Close()
	}
	if !isInput(err) {
		t.Errorf("what can't be read: %v", err)
	}
	enough := errors.New("enough")
	if _, count, err := ask(5, func(item) error { return enough }); count != 1 || !errors.Is(err, enough) {
		t.Errorf("whoever has enough: %d, %v", count, err)
	}
}

func TestTheAuditLogSaysWhichUnixUserUsedTheCommandLine(t *testing.T) {
	dir := newRepository(t)
	o, daemon := runningWorld(t, dir)
	me, err := user.Current()
	nodetest.Must(t, err)
	who := func(c *Client, name string) (said taxii.Event) {
		t.Helper()
		_, err := c.AddAccount(t.Context(), clients.AccountSpec{User: name, Password: "correct horse", Role: "reader"})
		nodetest.Must(t, err)
		err = o.trail.Read(t.Context(), taxii.AuditQuery{Event: taxii.EventSignUp}, func(line []byte) error {
			said = taxii.Event{}
			return json.Unmarshal(line, &said)
		})
		nodetest.Must(t, err)
		if said.Subject != name || said.User != auditlog.Operator {
			t.Fatalf("the log says %+v", said)
		}
		return said
	}
	c, err := FindDaemon(t.Context(), dir)
	nodetest.Must(t, err)
	if said := who(c, "alice"); said.UnixUser != me.Username {
		t.Errorf("over the socket it says %+v", said)
	}
	if info, err := os.Stat(daemon.Socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is anybody's: %v, %v", info, err)
	}
	daemon.Socket = "" // at a port of loopback nobody can tell, and nothing is made up
	if said := who(newClient(daemon, func() error { return nil }), "bob"); said.UnixUser != "" || said.LoginUser != "" {
		t.Errorf("over loopback it says %+v", said)
	}
}

// Where a name is written in the code, it can be asked for.
func TestEveryNameOfAnEventIsKnown(t *testing.T) {
	names := regexp.MustCompile(`(?:order(?:\[[^(]*\])?\("[^"]+", |Event\w+ += |a\.note\(c, |\.Command\(|\.Changed\([^,"]*, |step\(|Event\{Name: )"([a-z-]+)"`)
	found := 0
	for _, file := range []string{"endpoints.go", "backup.go", "../../taxii/audit.go", "../clients/accountadmin.go", "../members/found.go", "../members/join.go",
		"../../cmd/slnode/backup.go", "../../cmd/slnode/governor.go", "../../cmd/slnode/keys.go", "../../cmd/slnode/setup.go"} {
		text, err := os.ReadFile(file)
		nodetest.Must(t, err)
		for _, match := range names.FindAllStringSubmatch(string(text), -1) {
			found++
			if !slices.Contains(auditlog.Events(), match[1]) {
				t.Errorf("%s: nobody can ask for %q", file, match[1])
			}
		}
	}
	if found < 40 || !slices.IsSorted(auditlog.Events()) {
		t.Errorf("%d names are found in the code", found)
	}
	for _, name := range auditlog.Events() {
		if proposed, is := strings.CutPrefix(name, "propose-"); is && !slices.Contains(auditlog.Events(), proposed) {
			t.Errorf("nothing becomes of %s", name)
		}
	}
}

func TestWhatWasSharedIsAskedOfTheRegister(t *testing.T) {
	o := newOperated(t)
	var ids []string
	known, err := o.client.Shared(t.Context(), disclosure.Query{With: "mallory"}, func(one disclosure.Object) error {
		ids = append(ids, one.ID)
		return nil
	})
	if err != nil || known.Objects != 1 || !slices.Equal(ids, []string{"indicator--1"}) || o.parts.taken() != "shared mallory" {
		t.Errorf("%v, %+v, %v", ids, known, err)
	}
	h, err := o.client.History(t.Context(), "notes")
	if err != nil || len(h.Changes) != 1 || h.Changes[0].TxID != "T" || o.parts.taken() != "history notes" {
		t.Errorf("%+v, %v", h, err)
	}
	o.parts.err = problem.Input(errors.New("nobody is called so"))
	if _, err := o.client.Shared(t.Context(), disclosure.Query{}, nil); !isInput(err) {
		t.Errorf("a caller's mistake: %v", err)
	}
}
