package taxii

import (
	"context"
	"sync"
	"time"
)

// How many failures there may be at once, and how long it then takes until there may be one more.
const (
	failuresOfUser = 10 // from one address
	userInterval   = 10 * time.Second

	failuresAnywhere = 100 // of a user, from addresses where it never succeeded
	failuresOfHost   = 50  // whoever the user
	addressInterval  = 2 * time.Second

	// refusalsHeard is how many attempts, of a user at an address, are heard after they were too many. Then what is
	// remembered of that user there does not help either: else an attempt would cost nothing, and be right one day.
	refusalsHeard   = 60
	refusalInterval = time.Second
)

// refusalTime is how long it takes to refuse an attempt for what others have
// done: as long as one that was checked all the same.
const refusalTime = 500 * time.Millisecond

// failures limits how fast passwords can be guessed, so that who guesses does not lock out who knows. Failures count by
// user and address together and, among all those that were never right before, by user and by address. So wrong
// passwords from elsewhere do no harm where a user has succeeded, nor do those of somebody else behind the same
// address.
//
// Nobody learns by it who exists: a user without an account fails like one with an account, and where somebody is heard
// only because they succeeded before, a wrong password is answered as if they were not.
type failures struct {
	pairs     *throttle
	users     *throttle
	addresses *throttle
	refusals  *throttle     // by user and address
	pause     time.Duration // refusalTime, but for tests

	mu        sync.Mutex
	succeeded map[source]time.Time // when last
	now       func() time.Time
}

// source is who an attempt is for and where it comes from.
type source struct{ user, address string }

// key is the source as a key, of a user of any length.
func (s source) key() string { return s.address + " " + s.user }

// successesKept bounds how many sources are remembered.
const successesKept = 10_000

func newFailures(now func() time.Time) *failures {
	return &failures{
		pairs:     newThrottle(failuresOfUser, userInterval, now),
		users:     newThrottle(failuresAnywhere, userInterval, now),
		addresses: newThrottle(failuresOfHost, addressInterval, now),
		refusals:  newThrottle(refusalsHeard, refusalInterval, now),
		pause:     refusalTime,
		succeeded: make(map[source]time.Time),
		now:       now,
	}
}

// try is an attempt. What it costs is charged before the secret is checked, so
// that guesses made at the same time are counted too.
type try struct {
	failures *failures
	from     source
	refused  bool          // without a look
	wait     time.Duration // above 0: a stranger would be refused, until then
	slow     bool          // for what others have done
}

func (f *failures) try(from source) *try {
	from.user = from.user[:min(len(from.user), MaxAccountField)]
	t := &try{failures: f, from: from}
	if t.wait = f.pairs.take(from.key()); t.wait > 0 {
		t.refused = true
		return t
	}
	if t.wait = f.users.take(from.user); t.wait == 0 {
		if t.wait = f.addresses.take(from.address); t.wait > 0 {
			f.users.giveBack(from.user)
		}
	}
	t.slow = t.wait > 0
	t.refused = t.slow && !f.isKnown(from)
	return t
}

// giveBack says that the attempt was no failure.
func (t *try) giveBack() {
	t.failures.pairs.giveBack(t.from.key())
	if t.wait == 0 {
		t.failures.users.giveBack(t.from.user)
		t.failures.addresses.giveBack(t.from.address)
	}
}

// succeeded says that the secret was right.
func (t *try) succeeded() {
	t.giveBack()
	f := t.failures
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.succeeded[t.from]; !known && len(f.succeeded) >= successesKept {
		evict(f.succeeded, func(time.Time) bool { return false })
	}
	f.succeeded[t.from] = f.now()
}

// tooMany refuses the attempt.
func (t *try) tooMany(ctx context.Context) error {
	t.failures.refusals.take(t.from.key())
	if t.slow {
		timer := time.NewTimer(t.failures.pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return tooManyAttempts(t.wait)
}

// isKnown tells whether the user has succeeded there.
func (f *failures) isKnown(from source) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, known := f.succeeded[from]
	return known
}

// insists tells whether a source goes on and on after too many attempts.
func (f *failures) insists(from source) bool {
	from.user = from.user[:min(len(from.user), MaxAccountField)]
	return f.refusals.isFull(from.key())
}
