package p2p

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

// A Handler is told what other members say. It is called from one goroutine and should return soon: while it
// works, messages queue up, and when the queue is full they are dropped.
type Handler interface {
	// Announced is called with the roots of directories that a member says were confirmed in the chain's round. The
	// blocks that came with them wait in memory for [Host.Fetch].
	Announced(from peer.ID, round uint64, roots []cid.Cid)

	// Hinted is called when a member says that something of its own was confirmed in the chain's round.
	Hinted(from peer.ID, round uint64)
}

// A Topic is this node's part in a consortium's announcements.
//
// A message counts by its author, who signs it, not by who relays it: everybody may relay. What comes
// from peers that are not members is not read, and nothing is sent to them.
type Topic struct {
	host    *Host
	handler Handler
	topic   *pubsub.Topic
	cancel  context.CancelFunc // ends gossipsub and the reader
	done    chan struct{}      // closed when the reader has ended
	log     *slog.Logger
	name    string
	backlog *backlog
	budgets *budgets

	mu     sync.Mutex
	relays map[peer.ID]*rate.Limiter // bytes that each passes on, before it is known whether they are new
}

var errJoined = errors.New("a host joins only once")

// consortiumID is what a consortium's id may look like; on Algorand it is a decimal asset id.
var consortiumID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// gossipQueue is the length of gossipsub's queues, in messages: with its default of 32 a burst loses 40 to 70 % of its
// messages. What can pile up in bytes is bounded by the [backlog] and by the budgets.
const gossipQueue = 16 << 10

// maxRPC bounds what comes at once, in bytes: a message with its signature and some more, or several small ones.
const maxRPC = 2 * maxMessage

// Join takes part in the announcements of a consortium, by its id, until the topic or the host is closed. A host joins
// once in its life: gossipsub's peers lose sight of one that leaves and comes back on the same connection.
func (h *Host) Join(ctx context.Context, consortium string, handler Handler) (*Topic, error) {
	_, done, err := h.lifetime.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if !consortiumID.MatchString(consortium) {
		return nil, fmt.Errorf("join: %q is no consortium id", consortium)
	}
	h.topicMu.Lock()
	defer h.topicMu.Unlock()
	if h.topic != nil {
		return nil, fmt.Errorf("join %s: %w", consortium, errJoined)
	}
	t := &Topic{
		host: h, handler: handler,
		done: make(chan struct{}), log: h.log, name: topicName(consortium), backlog: newBacklog(),
		budgets: newBudgets(h.limits), relays: map[peer.ID]*rate.Limiter{},
	}
	if err := t.start(); err != nil {
		return nil, fmt.Errorf("join %s: %w", consortium, err)
	}
	h.topic = t
	return t, nil
}

// topicName is the gossipsub topic of a consortium.
func topicName(consortium string) string { return "/serviceledger/1/" + consortium }

// start makes a gossipsub for this one topic: so it knows from the first which subscriptions matter, and it ends with
// the topic.
func (t *Topic) start() (err error) {
	ctx, cancel := context.WithCancel(t.host.lifetime.ctx)
	defer func() {
		if err != nil {
			cancel()
		}
	}()
	params := pubsub.DefaultGossipSubParams()
	params.HistoryGossip, params.HistoryLength = 2, 3 // heartbeats, of a second, that messages are told of and kept in memory
	score, thresholds := t.scoring()
	ps, err := pubsub.NewGossipSub(ctx, t.host.host,
		pubsub.WithGossipSubParams(params),
		pubsub.WithMessageSignaturePolicy(pubsub.StrictSign),
		pubsub.WithMaxMessageSize(maxRPC),
		pubsub.WithPeerOutboundQueueSize(gossipQueue),
		pubsub.WithValidateQueueSize(gossipQueue),
		pubsub.WithSubscriptionFilter(pubsub.NewAllowlistSubscriptionFilter(t.name)),
		pubsub.WithAppSpecificRpcInspector(t.inspect),
		pubsub.WithPeerScore(score, thresholds),
		pubsub.WithRawTracer(t.backlog),
	)
	if err != nil {
		return fmt.Errorf("start gossipsub: %w", err)
	}
	// An inline validator runs in gossipsub's few workers: as many at a time as there are processors.
	if err := ps.RegisterTopicValidator(t.name, t.validate, pubsub.WithValidatorInline(true)); err != nil {
		return fmt.Errorf("register the validator: %w", err)
	}
	if t.topic, err = ps.Join(t.name); err != nil {
		return err
	}
	sub, err := t.topic.Subscribe(pubsub.WithBufferSize(gossipQueue))
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	t.cancel = cancel
	go t.read(ctx, sub)
	return nil
}

// Announce tells the other members of directories that were confirmed in the chain's round, with their blocks as far
// as they are small. It does not wait for anybody; who misses it fetches. Of what is beyond an author's budget only
// the round is said: nobody would hear the rest, and it would wait in memory for those who do not listen.
func (t *Topic) Announce(ctx context.Context, round uint64, dirs []unixfs.Directory) error {
	if round > math.MaxInt64 {
		return fmt.Errorf("announce in round %d: %w", round, errRound)
	}
	for _, d := range dirs {
		if !d.Root().Defined() {
			return fmt.Errorf("announce: %w", unixfs.ErrNone)
		}
	}
	messages, err := encodeAnnouncements(ctx, round, dirs)
	if err != nil {
		return fmt.Errorf("announce %d directories: %w", len(dirs), err)
	}
	said := false
	for _, m := range messages {
		if !t.budgets.afford(t.host.ID(), len(m), time.Now()) {
			continue
		}
		if err := t.publish(ctx, m); err != nil {
			return fmt.Errorf("announce %d directories: %w", len(dirs), err)
		}
		said = true
	}
	if !said {
		return t.Hint(ctx, round)
	}
	return nil
}

var errRound = fmt.Errorf("a multiformats varint ends at %d", uint64(math.MaxInt64))

// Hint tells the other members that something was confirmed in the chain's round, so that they look sooner.
func (t *Topic) Hint(ctx context.Context, round uint64) error {
	if round > math.MaxInt64 {
		return fmt.Errorf("hint at round %d: %w", round, errRound)
	}
	if err := t.publish(ctx, encodeHint(round)); err != nil {
		return fmt.Errorf("hint at round %d: %w", round, err)
	}
	return nil
}

func (t *Topic) publish(ctx context.Context, message []byte) error {
	ctx, done, err := t.host.lifetime.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	return t.topic.Publish(ctx, message)
}

// Close leaves the topic. The handler is not called after it returns, so it must not be called from the handler.
func (t *Topic) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return t.close(ctx)
}

func (t *Topic) close(ctx context.Context) error {
	t.cancel()
	// Gossipsub leaves its handlers behind, and the others would go on trying.
	for _, id := range pubsub.GossipSubDefaultProtocols {
		t.host.host.RemoveStreamHandler(id)
	}
	select {
	case <-t.done:
	case <-ctx.Done():
		return fmt.Errorf("leave the topic: the handler does not return: %w", ctx.Err())
	}
	return nil
}

// read hands on what the validator accepted.
func (t *Topic) read(ctx context.Context, sub *pubsub.Subscription) {
	defer close(t.done)
	defer sub.Cancel()
	for {
		m, err := sub.Next(ctx)
		if err != nil {
			return // the topic was closed: it has no other error
		}
		said, ok := m.ValidatorData.(message)
		if !ok {
			continue // our own message
		}
		if len(said.roots) > 0 {
			t.handler.Announced(m.GetFrom(), said.round, said.roots)
		} else {
			t.handler.Hinted(m.GetFrom(), said.round)
		}
	}
}

// validate decides about a message before it is passed on, and stages what it brought.
func (t *Topic) validate(ctx context.Context, _ peer.ID, m *pubsub.Message) pubsub.ValidationResult {
	author := m.GetFrom()
	if author == t.host.ID() {
		return pubsub.ValidationAccept
	}
	// Whoever relays this may just have another view of who is a member: the chain reaches nodes at different
	// moments. Punishing it would let a removed member set the others against each other.
	if !t.host.members.IsMember(author) {
		return pubsub.ValidationIgnore
	}
	if !t.budgets.afford(author, len(m.Data), time.Now()) {
		return pubsub.ValidationIgnore
	}
	said, err := decodeMessage(ctx, m.Data)
	switch {
	case errors.Is(err, errUnknownKind):
		return pubsub.ValidationIgnore
	case err != nil:
		// Everybody sees the same bytes, so who relayed them did not check.
		t.log.Debug("rejected a message", "author", author, "from", m.ReceivedFrom, "error", err)
		return pubsub.ValidationReject
	}
	for _, d := range said.dirs {
		t.host.staged.add(author, d)
	}
	m.ValidatorData = said
	return pubsub.ValidationAccept
}

// relay gives the budget of a peer for what it passes on. Only members have one, so there are not many.
func (t *Topic) relay(id peer.ID) *rate.Limiter {
	l := t.host.limits
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.relays[id]
	if b == nil {
		b = rate.NewLimiter(rate.Limit(l.AllAnnouncedBytesPerSecond+l.AnnouncedBytesPerSecond), l.AllAnnouncedBytesBurst+l.AnnouncedBytesBurst)
		t.relays[id] = b
	}
	return b
}

// inspect strips what a peer that is not a member sends down to its subscriptions: those must be remembered for the
// moment when it is admitted. Of what a member passes on it lets no more in than all authors may say, and itself: the
// rest would wait in memory to be checked and be dropped then.
func (t *Topic) inspect(from peer.ID, rpc *pubsub.RPC) error {
	if !t.host.members.IsMember(from) {
		rpc.Publish, rpc.Control = nil, nil
		return nil
	}
	budget := t.relay(from)
	rpc.Publish = slices.DeleteFunc(rpc.Publish, func(m *pb.Message) bool {
		return m.GetTopic() != t.name || !budget.AllowN(time.Now(), max(proto.Size(m), smallMessage)) || !t.backlog.admit(m)
	})
	return nil
}

// Scores: 0 is neutral. Below the thresholds a peer is told nothing and not listened to.
const (
	scoreNotMember = -1e6
	scoreNotReader = -250 // is told nothing, and listened to
	scoreGossip    = -100
	scorePublish   = -200
	scoreGraylist  = -300
)

// scoring keeps peers that are not members out of the mesh, from the next heartbeat (1 s) after a removal on, members
// that relay malformed messages (four of them in short succession), and those that don't read, as long as they don't.
func (t *Topic) scoring() (*pubsub.PeerScoreParams, *pubsub.PeerScoreThresholds) {
	return &pubsub.PeerScoreParams{
			AppSpecificScore: func(id peer.ID) float64 {
				switch {
				case !t.host.members.IsMember(id):
					return scoreNotMember
				case t.backlog.isFull(id):
					return scoreNotReader
				}
				return 0
			},
			AppSpecificWeight: 1,
			DecayInterval:     pubsub.DefaultDecayInterval,
			DecayToZero:       pubsub.DefaultDecayToZero,
			RetainScore:       time.Hour,
			Topics: map[string]*pubsub.TopicScoreParams{t.name: {
				TopicWeight:                    1,
				TimeInMeshQuantum:              time.Second, // P1 to P3 are off: their weights are zero
				InvalidMessageDeliveriesWeight: -20,
				InvalidMessageDeliveriesDecay:  pubsub.ScoreParameterDecay(10 * time.Minute),
				SkipAtomicValidation:           true,
			}},
			SkipAtomicValidation: true,
		}, &pubsub.PeerScoreThresholds{
			GossipThreshold:   scoreGossip,
			PublishThreshold:  scorePublish,
			GraylistThreshold: scoreGraylist,
		}
}
