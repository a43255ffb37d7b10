package auditlog

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/serviceledger/slnode/repo/auditlog"
	"github.com/serviceledger/slnode/repo/config"
)

// The messages are written here, and not by log/syslog or a module for journald: these wait without end for a receiver
// that takes nothing.

const (
	program  = "slnode"
	priority = 10<<3 | 6 // facility authpriv, severity informational
)

// public is what of a record is sent: all but what can tell which objects it is about.
func public(r auditlog.Record) (message []byte, at time.Time, err error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(r.Line, &fields); err != nil {
		return nil, at, fmt.Errorf("record %d of the audit log: %w", r.Sequence, err)
	}
	if json.Unmarshal(fields["time"], &at) != nil { // it is the receiver's then
		at = time.Now()
	}
	delete(fields, "objects")
	delete(fields, "nonce")
	fields["hash"] = json.RawMessage(`"` + r.Hash + `"`)
	message, err = json.Marshal(fields)
	return message, at, err
}

// frame is a message as the receiver wants it.
func frame(kind string, message []byte, at time.Time) []byte {
	switch kind {
	case config.ForwardSyslog: // as the C library writes it
		return fmt.Appendf(nil, "<%d>%s %s[%d]: %s", priority, at.Local().Format(time.Stamp), program, os.Getpid(), message)
	case config.ForwardJournald: // no value has an end of line
		return fmt.Appendf(nil, "MESSAGE=%s\nPRIORITY=%d\nSYSLOG_FACILITY=%d\nSYSLOG_IDENTIFIER=%s\nSYSLOG_PID=%d\n", message, priority&7, priority>>3, program, os.Getpid())
	}
	text := fmt.Appendf(nil, "<%d>1 %s %s %s %d audit - %s", priority, at.UTC().Format("2006-01-02T15:04:05.000000Z"), hostname(), program, os.Getpid(), message)
	if kind == config.ForwardUDP {
		return text
	}
	return append(fmt.Appendf(nil, "%d ", len(text)), text...)
}

// hostname is this machine's name, or the sign for none.
func hostname() string {
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "-"
}
