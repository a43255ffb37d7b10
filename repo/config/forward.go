package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
)

// Forward is where the audit log is sent to, as it is written.
type Forward struct {
	Kind    string // one of the Forward constants
	Address string // host:port, or the path of a socket
}

// The kinds of receivers.
const (
	ForwardNone     = ""
	ForwardSyslog   = "syslog"   // this machine's, at its socket
	ForwardJournald = "journald" // this machine's, at its own
	ForwardUDP      = "udp"      // a syslog server, by RFC 5426
	ForwardTCP      = "tcp"      // … by RFC 6587
	ForwardTLS      = "tls"      // … by RFC 5425
)

// Where this machine's receivers listen.
const (
	syslogSocket   = "/dev/log"
	journaldSocket = "/run/systemd/journal/socket"
)

// ParseForward reads what taxii.audit_forward says.
func ParseForward(text string) (Forward, error) {
	switch text {
	case ForwardNone:
		return Forward{}, nil
	case ForwardSyslog:
		return Forward{ForwardSyslog, syslogSocket}, nil
	case ForwardJournald:
		return Forward{ForwardJournald, journaldSocket}, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return Forward{}, errors.New("it is neither syslog, journald nor a URL")
	}
	switch u.Scheme {
	case ForwardSyslog, ForwardJournald:
		if u.Host == "" && u.Path != "" {
			return Forward{u.Scheme, u.Path}, nil
		}
	case ForwardUDP, ForwardTCP, ForwardTLS:
		if host, port, err := net.SplitHostPort(u.Host); err == nil && host != "" && port != "" && u.Path == "" && u.User == nil && u.RawQuery == "" {
			return Forward{u.Scheme, u.Host}, nil
		}
	}
	return Forward{}, fmt.Errorf("%q is neither syslog, journald nor like udp://host:514, tcp://host:601 or tls://host:6514", text)
}

// checkForward is nil if text says where to forward to.
func checkForward(text string) error {
	_, err := ParseForward(text)
	return err
}
