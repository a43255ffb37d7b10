package health

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/feeds"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/proof"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/outbox"
)

func (o *observed) peerOf(org *nodetest.Org) peer.ID {
	o.T.Helper()
	id, err := peer.Decode(org.Document.Peer)
	nodetest.Must(o.T, err)
	return id
}

// disturbed is a node with something of everything.
func newDisturbed(t *testing.T) *observed {
	t.Helper()
	o := newObserved(t)
	o.Takes(o.Mint(o.Mallory, o.Object(1)), o.Mint(o.Mallory, o.Object(2)))
	stranger := nodetest.NewOrg(t, "stranger")
	o.parts.chain = chainwatch.State{
		Cursor: 11, Tip: 14, Indexer: 12, Algod: 13, CaughtUp: true, LastAnswer: time.Unix(2000, 0).UTC(), Forged: 3, Malformed: 4, Filtered: true,
		ByBlocks: true, Sources: []chainwatch.SourceState{{Name: "I", Problem: "lies", Lies: []chainwatch.Lie{{TxID: "T"}}}, {Name: "algod", Round: 13}},
		Lag: chainwatch.Lag{Rounds: 3, Time: 7500 * time.Millisecond}, Answered: time.Unix(1999, 0).UTC(), GivenUp: []string{"A"}, Problem: "behind", Detail: "2 rounds", Since: time.Unix(1500, 0).UTC(),
	}
	o.parts.funds = ledger.Funds{Amount: 5_000_000, Locked: 2_000_000}
	o.parts.peers = []swarm.Peer{
		{ID: o.peerOf(o.Mallory), Connected: true, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/192.0.2.1/tcp/4001")}},
		{ID: o.peerOf(o.Founder), LastError: "refused"}, {ID: o.peerOf(stranger), Connected: true},
	}
	o.parts.exposed = []collections.ExposedKey{{Own: true, Removed: []string{"mallory"}}}
	o.parts.missing = []proof.Missing{{Member: "mallory", Range: consortium.Range{First: 3, Last: 5}}, {Member: "mallory", Range: consortium.Range{First: 8, Last: 8}}, {Member: "founder", Range: consortium.Range{First: 1, Last: 2}, Overdue: true}}
	o.parts.repeated = []proof.RepeatedNumbers{{Member: "mallory", Repeated: consortium.Repeated{Count: 6}}}
	o.parts.omitted = []proof.Finding{{TxID: "T"}, {TxID: "U"}}
	o.parts.problems = []feeds.Problem{{Name: "misp", Problem: "the server answered 502"}}
	o.Publishing.Set("funds", "too little")
	o.Sealing.Set("recipients", "nobody reads it")
	o.Certificate.Set("authority", "it is away")
	nodetest.Must(t, o.Webhooks.Reload([]config.Webhook{{
		Name: "siem", URL: "https://siem.example", Secret: "whsec_dGhpcnR5LXR3byBieXRlcyBvZiBhIHNlY3JldCBrZXk=",
	}}))
	return o
}

func TestTheStatusSaysWhatIsSo(t *testing.T) {
	o := newDisturbed(t)
	s, err := o.Observer.Status(t.Context())
	nodetest.Must(t, err)
	if s.Organisation != "self" || s.Consortium != "Test" || s.ConsortiumID != o.ID || !s.Member || !s.Started.Equal(o.Started) {
		t.Errorf("who it is: %+v", s)
	}
	p := s.Publishing
	if p.Problem != "funds" || p.Detail != "too little" || p.Since.IsZero() || len(p.Also) != 1 || p.Also[0].Problem != "recipients" {
		t.Errorf("what keeps objects: %+v", p)
	}
	if p.Account != o.Self.Address() || p.Free != 3_000_000 || p.Locked != 2_000_000 || p.Funds != "" || p.Accepted+p.Stored+p.Signed != 0 {
		t.Errorf("the account: %+v", p)
	}
	if p.Releases != 0 {
		t.Errorf("%d can be released", p.Releases)
	}
	w := s.Watching
	if w.Problem != "behind" || w.Detail != "2 rounds" || !w.Since.Equal(time.Unix(1500, 0)) || w.Round != 11 || w.Tip != 14 || w.Indexer != 12 || w.Algod != 13 ||
		!w.CaughtUp || !w.LastAnswer.Equal(time.Unix(2000, 0)) || w.Forged != 3 || w.Malformed != 4 || !w.Filtered || len(w.GivenUp) != 1 || !w.ByBlocks ||
		len(w.Sources) != 2 || w.Sources[0].Problem != "lies" || w.Sources[0].Lies[0].TxID != "T" || w.Sources[1].Round != 13 || s.Late.Found != 3 || s.Late.Unfolded != 1 {
		t.Errorf("the chain: %+v", w)
	}
	if s.View.Objects != 2 || s.View.Waiting != 0 || s.View.Undecided != 0 || s.Disk.Free != o.free || s.Disk.Problem != "" || s.Clock.Known || s.Certificate.Problem != "authority" {
		t.Errorf("the stores: %+v %+v %+v %+v", s.View, s.Disk, s.Clock, s.Certificate)
	}
	peers, err := json.Marshal(s.Peers)
	want := fmt.Sprintf(`[{"member":"mallory","id":%q,"connected":true,"addresses":["/ip4/192.0.2.1/tcp/4001"]},{"member":"founder","id":%q,"connected":false,"problem":"refused"}]`, o.Mallory.Document.Peer, o.Founder.Document.Peer)
	if err != nil || string(peers) != want {
		t.Errorf("the peers: %s, want %s", peers, want)
	}
	if s.Members != (Members{Known: 2, Connected: 1}) || w.LagRounds != 3 || w.LagSeconds != 7.5 || !w.AlgodAnswer.Equal(time.Unix(1999, 0)) {
		t.Errorf("%+v, %d rounds and %v s behind, %s", s.Members, w.LagRounds, w.LagSeconds, w.AlgodAnswer)
	}
	if len(s.Webhooks) != 1 || s.Webhooks[0].Name != "siem" || len(s.Feeds) != 1 || len(s.Missing) != 3 || len(s.Exposed) != 1 || len(s.Repeated) != 1 || len(s.Omitted) != 2 {
		t.Errorf("the rest: %+v", s)
	}
}

func TestTheStatusNamesTheProcessAndWhereItIsReached(t *testing.T) {
	o := newObserved(t)
	if d := o.status().Daemon; d.Running || d.TAXII != "" || d.Version == "" || d.PID != os.Getpid() {
		t.Errorf("before it is reached: %+v", d)
	}
	until := time.Unix(5000, 0).UTC()
	o.Opened(Doors{TAXII: "https://127.0.0.1:1", Metrics: "127.0.0.1:2", Certificate: func() *x509.Certificate { return &x509.Certificate{Raw: []byte("c"), NotAfter: until} }})
	d := o.status().Daemon
	if !d.Running || d.TAXII != "https://127.0.0.1:1" || d.Metrics != "127.0.0.1:2" || !d.CertificateUntil.Equal(until) ||
		d.Fingerprint != "2e7d2c03a9507ae265ecf5b5356885a53393a2029d241394997265a1a25aefc6" {
		t.Errorf("%+v", d)
	}
	o.Opened(Doors{TAXII: "https://127.0.0.1:1", Certificate: func() *x509.Certificate { return nil }})
	if d := o.status().Daemon; !d.Running || d.Fingerprint != "" || !d.CertificateUntil.IsZero() {
		t.Errorf("without a certificate: %+v", d)
	}
}

// A certificate that ends is told of before it does, with what renews it, and one for which an authority is waited for
// as that.
func TestACertificateThatEndsIsTroubleBefore(t *testing.T) {
	o, day := newObserved(t), 24*time.Hour
	for _, c := range []struct {
		tls     string
		left    time.Duration
		problem string
		says    string
	}{
		{config.TLSFiles, 15 * day, "", ""},
		{config.TLSFiles, 13 * day, "ends", "taxii.tls_certificate"},
		{config.TLSSelfSigned, 13 * day, "ends", "restart the node"},
		{config.TLSACME, 13 * day, "ends", "SIGHUP"},
		{config.TLSFiles, -day, "ended", "taxii.tls_certificate"},
	} {
		o.R.Config.TAXII.TLS = c.tls
		leaf := &x509.Certificate{NotBefore: time.Now().Add(c.left - 365*day), NotAfter: time.Now().Add(c.left)}
		o.Opened(Doors{TAXII: "https://127.0.0.1:1", Certificate: func() *x509.Certificate { return leaf }})
		s := o.status()
		told := slices.ContainsFunc(s.Trouble(), func(line string) bool {
			return strings.HasPrefix(line, "certificate: "+c.problem+": it ") && strings.Contains(line, c.says)
		})
		if s.Certificate.Problem != c.problem || told != (c.problem != "") {
			t.Errorf("%s, %s before its end: %+v, %q", c.tls, c.left, s.Certificate, s.Trouble())
		}
	}
	o.Certificate.Set("refused", "it gives none")
	if s := o.status(); s.Certificate.Problem != "refused" {
		t.Errorf("what the authority refuses is hidden by %+v", s.Certificate)
	}
}

// Whoever configures a client needs the ids of collections, which are told nowhere else without an account.
func TestTheStatusNamesTheCollectionsThatClientsSee(t *testing.T) {
	o := newObserved(t)
	var said []string
	for _, c := range o.status().Collections {
		said = append(said, fmt.Sprintf("%s %s %q %t", c.Alias, c.Owner, c.ID, c.Write))
	}
	want := []string{
		fmt.Sprintf(" founder %q true", o.HostileWorld.Collection), fmt.Sprintf("notes self %q true", o.Own),
		fmt.Sprintf("everything  %q false", clients.EverythingID(o.Consortium)), fmt.Sprintf("others  %q false", clients.OthersID(o.Consortium)),
	}
	if !slices.Equal(said, want) {
		t.Errorf("they are %q, want %q", said, want)
	}
}

func TestTheStatusCountsWhatWaitsBeforeTheChain(t *testing.T) {
	o := newObserved(t)
	accept := func(payload []byte, keys ...string) {
		t.Helper()
		for _, key := range keys {
			_, err := o.R.Outbox.Accept([]outbox.Submission{{Item: outbox.Item{Key: []byte(key)}, Payload: payload}})
			nodetest.Must(t, err)
		}
	}
	accept(nil, "a", "b", "c", "d")
	stored, err := o.R.Outbox.Queue(outbox.Stored, 0, 1)
	nodetest.Must(t, err)
	_, err = o.R.Outbox.AddGroups([]outbox.Group{{TxIDs: []string{"T"}}}, stored)
	nodetest.Must(t, err)
	accept([]byte("x"), "e", "f")
	s, err := o.Observer.Status(t.Context())
	nodetest.Must(t, err)
	if p := s.Publishing; p.Accepted != 2 || p.Stored != 3 || p.Signed != 1 {
		t.Errorf("%+v", p)
	}
	text := o.scrape()
	for state, n := range map[string]int{"accepted": 2, "stored": 3, "signed": 1} {
		if line := fmt.Sprintf("\nslnode_outbox_objects{state=%q} %d\n", state, n); !strings.Contains(text, line) {
			t.Errorf("the metrics don't say %s", line)
		}
	}
}

// What other keys of its collections will cost is kept, and no object gets it.
func TestWhatIsKeptForOtherKeysIsSaid(t *testing.T) {
	o := newObserved(t)
	o.Takes(o.CollectionOf(o.Self, o.Own, 2, o.Everybody("ours"), o.Mallory))
	s, err := o.Observer.Status(t.Context())
	if err != nil || s.Publishing.Reserved != 101_000 {
		t.Errorf("%+v, %v", s.Publishing, err)
	}
}

func TestAnAccountThatCantBeAskedForIsSaidAndHidesNothingElse(t *testing.T) {
	o := newObserved(t)
	o.parts.poor = errors.New("algod is away")
	s, err := o.Observer.Status(t.Context())
	if err != nil || s.Publishing.Funds != "algod is away" || s.Publishing.Free != 0 || s.Consortium != "Test" {
		t.Errorf("%+v, %v", s.Publishing, err)
	}
}

// A full disk keeps objects out before all else, and is said as what it is.
func TestAFullDiskIsWhatKeepsObjectsOut(t *testing.T) {
	o := newDisturbed(t)
	o.Disk.Condition.Set("disk", "no room")
	s, err := o.Observer.Status(t.Context())
	if err != nil || s.Disk.Problem != "disk" || s.Publishing.Problem != "disk" || len(s.Publishing.Also) != 2 {
		t.Errorf("%+v, %+v, %v", s.Disk, s.Publishing, err)
	}
	o.parts.err = errors.New("the disk is gone")
	if _, err := o.Observer.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "the disk is gone") {
		t.Errorf("a disk that can't be asked: %v", err)
	}
}

func (o *observed) scrape() string {
	o.T.Helper()
	server := httptest.NewServer(o.Handler())
	defer server.Close()
	response, err := server.Client().Get(server.URL + MetricsPath)
	nodetest.Must(o.T, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	nodetest.Must(o.T, err)
	if response.StatusCode != http.StatusOK {
		o.T.Errorf("the metrics are answered with %d: %s", response.StatusCode, text)
	}
	return string(text)
}

func TestTheMetricsSayWhatTheStatusSays(t *testing.T) {
	o := newDisturbed(t)
	text := o.scrape()
	for _, line := range []string{
		"slnode_status_errors 0", `slnode_outbox_objects{state="accepted"} 0`, `slnode_outbox_objects{state="stored"} 0`, `slnode_outbox_objects{state="signed"} 0`,
		`slnode_publishing_problem{problem="funds"} 1`, `slnode_publishing_problem{problem="recipients"} 1`, `slnode_watching_problem{problem="behind"} 1`,
		`slnode_source_problem{problem="lies",source="I"} 1`, `slnode_source_false_transactions{source="I"} 1`, `slnode_source_false_transactions{source="algod"} 0`,
		`slnode_late_transactions{folded="yes"} 2`, `slnode_late_transactions{folded="no"} 1`,
		`slnode_feed_problem{feed="misp"} 1`, "slnode_disk_free_bytes 5.36870912e+09", `slnode_certificate_problem{problem="authority"} 1`,
		"slnode_account_free_microalgo 3e+06", "slnode_account_locked_microalgo 2e+06", "slnode_account_reserved_microalgo 0", "slnode_chain_folded_round 11", "slnode_chain_tip_round 14",
		"slnode_indexer_forged_transactions_total 3", "slnode_indexer_omitted_transactions 2", `slnode_member_repeated_numbers_total{member="mallory"} 6`,
		`slnode_member_missing_transactions{member="mallory",overdue="no"} 4`, `slnode_member_missing_transactions{member="founder",overdue="yes"} 2`,
		`slnode_exposed_collections{owner="self",reason="removed"} 1`, `slnode_exposed_collections{owner="member",reason="removed"} 0`,
		"slnode_view_objects 2", "slnode_view_waiting_events 0", "slnode_view_undecided_events 0", "slnode_members_connected 1", "slnode_members_known 2", "slnode_member 1", "slnode_chain_lag_rounds 3", "slnode_chain_lag_seconds 7.5", "slnode_ready 0",
		`slnode_webhook_backlog_objects{webhook="siem"} 0`, `slnode_webhook_backlog_age_seconds{webhook="siem"} 0`, `slnode_unknown{name="siem",what="webhook"} 0`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("the metrics don't say %s", line)
		}
	}
	if strings.Contains(text, "slnode_clock_ahead_seconds ") {
		t.Error("the clock is said to be right, and nobody knows")
	}
	if strings.Contains(text, "indicator--") || strings.Contains(text, "Default") {
		t.Error("the metrics hold an object or a title")
	}
}

func TestMetricsAreLeftOutWhereTheyAreNotKnown(t *testing.T) {
	o := newObserved(t)
	o.parts.poor = errors.New("algod is away")
	text := o.scrape()
	for _, name := range []string{"slnode_account_free_microalgo", "slnode_account_locked_microalgo", "slnode_publishing_problem", "slnode_watching_problem", "slnode_certificate_problem"} {
		if strings.Contains(text, "\n"+name) {
			t.Errorf("there is %s", name)
		}
	}
	o.Publishing.Set("funds", "")
	o.Sealing.Set("funds", "") // twice would fail all metrics
	if text := o.scrape(); strings.Count(text, `slnode_publishing_problem{problem="funds"} 1`) != 1 {
		t.Error("a problem of two parts is not said once")
	}
	o.parts.err = errors.New("the disk is gone")
	if text := o.scrape(); !strings.Contains(text, "\nslnode_status_errors 1\n") || strings.Contains(text, "\nslnode_member ") {
		t.Error("a status that can't be found out is not said")
	}
}
