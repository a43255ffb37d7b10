package p2p

import (
	"context"
	"sync"
)

// lifetime counts what runs on a host, so that Close can cancel it and wait for it: the store must not be
// closed under a reader.
type lifetime struct {
	ctx  context.Context // ends with the host
	stop context.CancelFunc

	mu     sync.Mutex
	closed bool
	busy   sync.WaitGroup
}

func (l *lifetime) start() { l.ctx, l.stop = context.WithCancel(context.Background()) }

// begin admits a call. The returned context ends with the caller's or with the host, whichever is first; done
// must be called at the end. After cancel it returns [ErrClosed].
func (l *lifetime) begin(ctx context.Context) (_ context.Context, done func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, nil, ErrClosed
	}
	l.busy.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	release := context.AfterFunc(l.ctx, cancel)
	return ctx, func() {
		release()
		cancel()
		l.busy.Done()
	}, nil
}

// run starts a goroutine that ends with the host. It does nothing after cancel.
func (l *lifetime) run(f func(ctx context.Context)) {
	ctx, done, err := l.begin(l.ctx)
	if err != nil {
		return
	}
	go func() {
		defer done()
		f(ctx)
	}()
}

// cancel ends what runs and admits nothing more.
func (l *lifetime) cancel() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.stop()
}

// wait returns when everything admitted has ended.
func (l *lifetime) wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		l.busy.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
