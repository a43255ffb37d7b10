package auditlog

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/serviceledger/slnode/internal/disk"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/repo/auditlog"
	"github.com/serviceledger/slnode/repo/config"
)

// forwarder sends the records of the audit log to syslog or journald. It reads them from the log's files: one that is
// away costs nobody anything, and when it is back it gets what it has missed, as far as the files are kept. What was
// sent is noted after it was sent: a record can come twice, with the same number.
//
// What it sends is the record without the objects' ids, which can tell what they stand for, and with the hash of the
// whole record: whoever has that can tell later whether the record was changed.
type forwarder struct {
	dir      string // of the repository
	to       config.Forward
	log      *slog.Logger
	written  *signal.Signal
	wrong    func(error)   // is told what keeps records here; nil: nothing does
	patience time.Duration // of one attempt
	again    time.Duration // after one that failed
	roots    *tls.Config   // for tests; nil for the system's
}

// Forward forwards the audit log until the context ends, to where the configuration says: it can be nowhere.
func (a *Trail) Forward(ctx context.Context, text string, log *slog.Logger) error {
	to, err := config.ParseForward(text)
	if err != nil || to.Kind == config.ForwardNone {
		return err
	}
	return a.newForwarder(to, log).run(ctx)
}

func (a *Trail) newForwarder(to config.Forward, log *slog.Logger) *forwarder {
	return &forwarder{
		dir: a.dir, to: to, log: log, written: &a.written, patience: 5 * time.Second, again: 10 * time.Second,
		wrong: func(err error) { a.wrong.set(notForwarded, err) },
	}
}

// forwardedFile keeps the number of the last record that was sent.
const forwardedFile = "forwarded.json"

// lookAgain is how often it is looked whether another process has written.
const lookAgain = 10 * time.Second

// run forwards until the context ends.
func (f *forwarder) run(ctx context.Context) (err error) {
	last, err := f.sent()
	if err != nil {
		return fmt.Errorf("forwarding the audit log: %w", err)
	}
	records := auditlog.Follow(f.dir, last)
	wire := &wire{forwarder: f}
	defer func() { err = errors.Join(err, records.Close(), wire.close()) }()
	return signal.Each(ctx, f.written, lookAgain, func() error {
		now, err := f.forward(ctx, records, wire, last)
		if now != last {
			last, err = now, errors.Join(err, f.keep(now))
		}
		if err != nil && ctx.Err() == nil { // it is no reason to stop: the log itself is there
			f.log.Warn("the audit log can't be forwarded", "error", err)
		}
		return ctx.Err()
	})
}

// forward sends the records that there are.
func (f *forwarder) forward(ctx context.Context, records *auditlog.Follower, to *wire, last uint64) (uint64, error) {
	for {
		r, found, err := records.Next()
		if err != nil || !found {
			return last, err
		}
		if last != 0 && r.Sequence != last+1 {
			f.log.Error("records of the audit log were deleted before they were forwarded", "first", last+1, "last", r.Sequence-1)
		}
		if err := f.insist(ctx, to, r); err != nil {
			return last, err
		}
		last = r.Sequence
	}
}

// insist sends a record until it is taken, or the context ends.
func (f *forwarder) insist(ctx context.Context, to *wire, r auditlog.Record) error {
	since := time.Time{}
	for {
		err := to.send(ctx, r)
		switch {
		case err == nil:
			f.wrong(nil)
			if !since.IsZero() {
				f.log.Info("the audit log is forwarded again", "to", f.to.Kind, "away_since", since)
			}
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case since.IsZero():
			since = time.Now()
			f.wrong(fmt.Errorf("it can't be forwarded to %s (taxii.audit_forward), and is tried again: %w", f.to.Kind, err))
			f.log.Warn("the audit log can't be forwarded; it is tried again, and nothing waits for it", "to", f.to.Kind, "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(f.again):
		}
	}
}

func (f *forwarder) path() string { return filepath.Join(auditlog.Path(f.dir), forwardedFile) }

// sent is the last record that was sent. Where none was, what was written before is not: it begins with what comes.
func (f *forwarder) sent() (last uint64, err error) {
	data, err := os.ReadFile(f.path())
	if errors.Is(err, fs.ErrNotExist) {
		return auditlog.Last(f.dir)
	}
	if err == nil {
		err = json.Unmarshal(data, &last)
	}
	return last, err
}

func (f *forwarder) keep(last uint64) error {
	return disk.WriteFile(f.path(), strconv.AppendUint(nil, last, 10))
}

// wire is the connection to the receiver.
type wire struct {
	*forwarder
	conn net.Conn
}

func (w *wire) close() error {
	if w.conn == nil {
		return nil
	}
	conn := w.conn
	w.conn = nil
	return conn.Close()
}

// send sends one record, and takes no longer than its patience.
func (w *wire) send(ctx context.Context, r auditlog.Record) error {
	ctx, cancel := context.WithTimeout(ctx, w.patience)
	defer cancel()
	message, at, err := public(r)
	if err != nil {
		return err
	}
	if w.conn == nil {
		if w.conn, err = w.dial(ctx); err != nil {
			return err
		}
	}
	conn := w.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Unix(1, 0)) }) // the write says that it failed
	err = conn.SetWriteDeadline(time.Time{})
	if err == nil && ctx.Err() == nil {
		_, err = conn.Write(frame(w.to.Kind, message, at))
	}
	stop()
	if err = errors.Join(err, ctx.Err()); err != nil {
		return errors.Join(fmt.Errorf("sending: %w", err), w.close())
	}
	return nil
}

func (w *wire) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	switch w.to.Kind {
	case config.ForwardSyslog, config.ForwardJournald:
		return d.DialContext(ctx, "unixgram", w.to.Address)
	case config.ForwardTLS:
		return (&tls.Dialer{Config: w.roots}).DialContext(ctx, "tcp", w.to.Address)
	}
	return d.DialContext(ctx, w.to.Kind, w.to.Address)
}
