package auditlog

import (
	"context"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"testing"

	"github.com/serviceledger/slnode/node/internal/nodetest"
)

// around is a connection with something around it.
type around struct{ net.Conn }

func (a around) NetConn() net.Conn { return a.Conn }

// accepted is a connection that was accepted.
func accepted(t *testing.T, network, address string) net.Conn {
	t.Helper()
	listener, err := net.Listen(network, address)
	nodetest.Must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	caller, err := net.Dial(network, listener.Addr().String())
	nodetest.Must(t, err)
	t.Cleanup(func() { _ = caller.Close() })
	conn, err := listener.Accept()
	nodetest.Must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestTheKernelTellsWhoIsAtTheOtherEndOfASocketAndNobodyElseIsBelieved(t *testing.T) {
	me, err := user.Current()
	nodetest.Must(t, err)
	conn := accepted(t, "unix", filepath.Join(t.TempDir(), "s"))
	local, err := Caller(conn)
	if err != nil || local == nil || local.UID != uint32(os.Getuid()) || local.Account() != me.Username {
		t.Errorf("at a socket it is %+v, %v", local, err)
	}
	ctx := ConnContext(t.Context(), around{around{conn}})
	if who := ActorIn(ctx); who.User != Operator || who.Local == nil || *who.Local != *local {
		t.Errorf("a request of it is by %+v", who)
	}
	if who := ActorIn(AsUser(ctx, Operator)); who.Local == nil {
		t.Error("it is forgotten who the operator is")
	}
	if who := ActorIn(AsUser(ctx, "alice")); who.User != "alice" || who.Local != nil {
		t.Errorf("somebody else is %+v", who)
	}
	loopback := accepted(t, "tcp", "127.0.0.1:0")
	if local, err := Caller(loopback); local != nil || err != nil {
		t.Errorf("at a port it is %+v, %v", local, err)
	}
	if who := ActorIn(ConnContext(context.Background(), loopback)); who != (Actor{}) {
		t.Errorf("a request at a port is by %+v", who)
	}
}

func TestAnActorIsNamedForPeople(t *testing.T) {
	for want, who := range map[string]Actor{
		"":                            {},
		"alice":                       {User: "alice"},
		"operator (Unix user slnode)": {User: Operator, Local: &Local{UID: 996, Name: "slnode"}},
		"operator (Unix user 996)":    {User: Operator, Local: &Local{UID: 996}},
		"operator (Unix user bob)":    {User: Operator, Local: &Local{UID: 7, Name: "bob", Login: "bob"}},
		"operator (Unix user x, logged in as bob)": {User: Operator, Local: &Local{UID: 7, Name: "x", Login: "bob"}},
	} {
		if who.String() != want {
			t.Errorf("%+v is called %q", who, who.String())
		}
	}
	if me := Myself(); me.UID != uint32(os.Getuid()) {
		t.Errorf("this process is %+v", me)
	}
}
