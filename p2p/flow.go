package p2p

import (
	"errors"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// errTooSlow is for a stream that makes less progress than it must.
var errTooSlow = errors.New("the other side is too slow")

// flow watches one direction of a stream: the other side may be silent for a while and slow for a while, but over all
// the time that is spent waiting for it, it must keep to a floor. So nobody holds a stream with a byte now and then.
type flow struct {
	idle   time.Duration // without a byte
	grace  time.Duration // of waiting, on top of what the floor allows
	floor  int64         // bytes a second; none if it is 0
	waited time.Duration
	moved  int64
}

// patience is for how long to wait for the next bytes.
func (f *flow) patience() (time.Duration, error) {
	if f.floor == 0 {
		return f.idle, nil
	}
	left := f.grace + time.Duration(f.moved)*time.Second/time.Duration(f.floor) - f.waited
	if left <= 0 {
		return 0, errTooSlow
	}
	return min(f.idle, left), nil
}

// step is one read or write.
func (f *flow) step(deadline func(time.Time) error, move func() (int, error)) (int, error) {
	wait, err := f.patience()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := deadline(start.Add(wait)); err != nil {
		return 0, err
	}
	n, err := move()
	f.waited += time.Since(start)
	f.moved += int64(n)
	return n, err
}

// reader reads a stream.
func (w patience) reader(s network.Stream) io.Reader {
	return &flowReader{s, flow{idle: w.idle, grace: w.idle, floor: w.floor}}
}

// writer writes to a stream. Who reads writes to its disk in between, so it may pause longer than who writes.
func (w patience) writer(s network.Stream) io.Writer {
	return &flowWriter{s, flow{idle: 2 * w.idle, grace: 2 * w.idle, floor: w.floor}}
}

type flowReader struct {
	stream network.Stream
	flow
}

func (r *flowReader) Read(p []byte) (int, error) {
	return r.step(r.stream.SetReadDeadline, func() (int, error) { return r.stream.Read(p) })
}

type flowWriter struct {
	stream network.Stream
	flow
}

// writeSome is how much is written before it is looked whether it went fast enough.
const writeSome = 64 << 10

func (w *flowWriter) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var some int
		some, err = w.step(w.stream.SetWriteDeadline, func() (int, error) { return w.stream.Write(p[n:min(n+writeSome, len(p))]) })
		n += some
	}
	return n, err
}
