package auditlog

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// Local is who on this machine is behind the command line, as the kernel tells. Nothing of it is the caller's word.
type Local struct {
	UID  uint32
	Name string // of the account with that number; "" if there is none
	// Login is the account with which the session began, where the kernel kept it: it stays through su and sudo.
	Login string
}

func (l *Local) String() string {
	text := "Unix user " + l.Account()
	if l.Login != "" && l.Login != l.Account() {
		text += ", logged in as " + l.Login
	}
	return text
}

// Account names the account, or gives its number.
func (l *Local) Account() string {
	if l.Name != "" {
		return l.Name
	}
	return strconv.FormatUint(uint64(l.UID), 10)
}

// Myself is who runs this process.
func Myself() *Local { return localOf(uint32(os.Getuid()), "self") }

// Caller is who is at the other end of a Unix socket; nil where the connection doesn't tell.
func Caller(conn net.Conn) (*Local, error) {
	socket, is := conn.(*net.UnixConn)
	if !is {
		return nil, nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("asking who is at the other end of a socket: %w", err)
	}
	var peer *syscall.Ucred
	var problem error
	err = raw.Control(func(fd uintptr) {
		peer, problem = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err := errors.Join(err, problem); err != nil {
		return nil, fmt.Errorf("asking who is at the other end of a socket: %w", err)
	}
	return localOf(peer.Uid, strconv.Itoa(int(peer.Pid))), nil
}

// localOf describes the user of a process.
func localOf(uid uint32, process string) *Local {
	return &Local{UID: uid, Name: accountName(uid), Login: loginOf(process)}
}

func accountName(uid uint32) string {
	account, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return "" // the number is what counts
	}
	return account.Username
}

// loginOf is the account with which a process's session began: the audit subsystem keeps it in /proc/PID/loginuid.
// Where it is not kept, or the process is gone, there is none.
func loginOf(process string) string {
	data, err := os.ReadFile("/proc/" + process + "/loginuid")
	if err != nil {
		return ""
	}
	uid, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 32)
	if err != nil || uid == math.MaxUint32 { // nobody has logged in
		return ""
	}
	return (&Local{UID: uint32(uid), Name: accountName(uint32(uid))}).Account()
}

// ConnContext tells the requests of a connection who is at its other end. It is for [net/http.Server].
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	local, err := Caller(inner(conn))
	if err != nil || local == nil { // the line of the audit log says that it isn't known
		return ctx
	}
	return As(ctx, Actor{User: Operator, Local: local})
}

// inner is a connection without what was put around it.
func inner(conn net.Conn) net.Conn {
	for {
		around, is := conn.(interface{ NetConn() net.Conn })
		if !is {
			return conn
		}
		conn = around.NetConn()
	}
}
