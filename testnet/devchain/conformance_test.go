package devchain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/types"
)

// The recordings in testdata are requests to a real algod and indexer and their answers. They are replayed here with
// the very bytes that were sent, on a chain that starts in the round in which the recording starts: transaction ids,
// asset ids, rounds, balances, commitments, paging tokens and error messages have to come out the same.

// leftOut are the recordings that are not replayed, with the reason.
var leftOut = map[string]string{
	"x-compile":            "there are no applications",
	"x-app-create":         "there are no applications",
	"x-app-fund":           "there are no applications",
	"x-inner-create":       "there are no applications",
	"x-inner-pending":      "there are no applications",
	"x-inner-block":        "there are no applications",
	"x-inner-block-msgp":   "there are no applications; its commitments are recomputed in TestCommitmentsOfRealBlocksAreRecomputed",
	"x-idx-inner-acfg":     "there are no inner transactions",
	"x-idx-inner-note":     "there are no inner transactions",
	"x-idx-inner-app-addr": "there are no inner transactions",
	"x-idx-inner-alice":    "there are no inner transactions",
}

// masked are the fields of which only the type is compared, with the reason.
var masked = map[string]string{
	"ts":                        "the clock's",
	"timestamp":                 "the clock's",
	"round-time":                "the clock's",
	"time-since-last-round":     "the clock's",
	"prev":                      "follows from the timestamp of the block before",
	"prev512":                   "follows from the timestamp of the block before",
	"previous-block-hash":       "follows from the timestamp of the block before",
	"previous-block-hash-512":   "follows from the timestamp of the block before",
	"blockHash":                 "follows from the timestamp",
	"seed":                      "drawn by the proposer",
	"reward-base":               "there are no rewards",
	"rewards-level":             "there are no rewards",
	"rewards-rate":              "there are no rewards",
	"rewards-residue":           "there are no rewards",
	"rewards-calculation-round": "there are no rewards",
	"online-money":              "nobody takes part in consensus",
	"online-stake":              "nobody takes part in consensus",
	"total-money":               "there are no rewards",
	"channel":                   "names the build",
}

// absent are the fields that real blocks have and these don't, with the reason.
var absent = map[string]string{
	"rs":              "there are no rewards",
	"earn":            "there are no rewards",
	"frac":            "there are no rewards",
	"rate":            "there are no rewards",
	"rwcalr":          "there are no rewards",
	"prp":             "there is no proposer",
	"proposer":        "there is no proposer",
	"pp":              "there is no proposer",
	"prop":            "nobody votes: a certificate says no more than the round",
	"step":            "nobody votes",
	"vote":            "nobody votes",
	"proposer-payout": "there is no proposer",
}

// rewarded are the recordings in which an account had got rewards, with what they change.
var rewarded = map[string][]string{
	"network/106-acct-creator-without-holding.json": {"amount", "amount-without-pending-rewards", "rewards"},
	"network/152-idx-acct.json":                     {"amount", "amount-without-pending-rewards", "rewards"},
	"network/127-block-nonutf8.json":                {"ld", "txn", "txn256", "txn512"},
}

// recording is a request and what the real stack answered.
type recording struct {
	name       string // without number
	file       string
	Desc       string          `json:"desc"`
	Method     string          `json:"method"`
	Path       string          `json:"path"`
	Request    []byte          `json:"request_body_b64"`
	Status     int             `json:"status"`
	Type       string          `json:"content_type"`
	Body       json.RawMessage `json:"body"`
	BodyPacked []byte          `json:"body_b64"`
}

func (r *recording) ofIndexer() bool { return strings.HasPrefix(r.name, "idx-") }

func readRecordings(t *testing.T, dir, pattern string) []*recording {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", dir, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	sort.Strings(files)
	var all []*recording
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r := &recording{file: dir + "/" + filepath.Base(file), name: strings.TrimSuffix(filepath.Base(file), ".json")[len("000-"):]}
		if err := json.Unmarshal(raw, r); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, r)
	}
	return all
}

// replay is a chain that takes a recording's requests.
type replay struct {
	*ledger
	algodAPI, indexerAPI http.Handler
}

// newReplay starts a chain of the recorded genesis at a later round, of which nothing is known but its number and
// the transaction counter.
func newReplay(t *testing.T, genesis *recording, round types.Round, counter uint64) *replay {
	t.Helper()
	g := recordedGenesis(t, genesis)
	r, err := newRules(g)
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLedger(g, r, newFaultBoard())
	if err != nil {
		t.Fatal(err)
	}
	h := l.history.tip().header
	h.Round, h.TxnCounter, h.TimeStamp = round, counter, time.Now().Unix()-1
	l.history = newHistory(sealBlock(h, nil))
	l.state.counter = counter
	f := &follower{}
	f.observe(snapshot{round, l.state})
	l.onClose = f.observe
	indexer, err := newIndexerAPI(newIndexerDB(l, f, func(txid) bool { return false }), false)
	if err != nil {
		t.Fatal(err)
	}
	a := &algodServer{ledger: l, token: "t", feePerByte: func() uint64 { return 0 }, patience: time.Second}
	return &replay{l, newAlgodAPI(a), indexer}
}

func recordedGenesis(t *testing.T, r *recording) *types.Genesis {
	t.Helper()
	var g struct {
		Alloc []struct {
			Addr, Comment string
			State         struct {
				Algo             uint64
				Onl              byte
				Sel, Stprf, Vote []byte
				VoteKD, VoteLst  uint64
			}
		}
		Fees, ID, Network, Proto, Rwd string
		Timestamp                     int64
		DevMode                       bool
	}
	if err := json.Unmarshal(r.Body, &g); err != nil {
		t.Fatal(err)
	}
	genesis := &types.Genesis{
		SchemaID: g.ID, Network: g.Network, Proto: g.Proto, RewardsPool: g.Rwd, FeeSink: g.Fees,
		Timestamp: g.Timestamp, DevMode: g.DevMode,
	}
	for _, a := range g.Alloc {
		state := types.Account{
			Status: a.State.Onl, MicroAlgos: a.State.Algo,
			VoteKeyDilution: a.State.VoteKD, VoteLastValid: a.State.VoteLst,
		}
		copy(state.SelectionID[:], a.State.Sel)
		copy(state.StateProofID[:], a.State.Stprf)
		copy(state.VoteID[:], a.State.Vote)
		genesis.Allocation = append(genesis.Allocation, types.GenesisAllocation{Address: a.Addr, Comment: a.Comment, State: state})
	}
	return genesis
}

// send makes the recorded request.
func (p *replay) send(r *recording) *httptest.ResponseRecorder {
	req := httptest.NewRequest(r.Method, r.Path, bytes.NewReader(r.Request))
	if r.name != "status-no-token" {
		req.Header.Set(tokenHeader, "t")
	}
	w := httptest.NewRecorder()
	if r.ofIndexer() {
		p.indexerAPI.ServeHTTP(w, req)
	} else {
		p.algodAPI.ServeHTTP(w, req)
	}
	return w
}

func (p *replay) check(t *testing.T, r *recording) {
	t.Helper()
	w := p.send(r)
	if w.Code != r.Status {
		t.Fatalf("status %d, want %d: %.300s", w.Code, r.Status, w.Body)
	}
	if got, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";"); got != r.Type {
		t.Errorf("content type %q, want %q", got, r.Type)
	}
	var got, want any
	if r.BodyPacked != nil {
		got, want = unpack(t, w.Body.Bytes()), unpack(t, r.BodyPacked)
		if strings.HasPrefix(r.name, "pending") && !bytes.Equal(w.Body.Bytes(), r.BodyPacked) {
			t.Errorf("the same in another encoding: %x, want %x", w.Body, r.BodyPacked)
		}
	} else {
		got, want = unmarshal(t, w.Body.Bytes()), unmarshal(t, r.Body)
	}
	for _, difference := range differences("", got, want, rewarded[r.file]) {
		t.Error(difference)
	}
}

func unmarshal(t *testing.T, raw []byte) any {
	t.Helper()
	if len(raw) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v in %.200s", err, raw)
	}
	return v
}

// unpack reads msgpack as the JSON that it would be.
func unpack(t *testing.T, raw []byte) any {
	t.Helper()
	readable, err := toJSON(raw)
	if err != nil {
		t.Fatal(err)
	}
	return unmarshal(t, readable)
}

// differences lists where two JSON values differ, save for what is masked.
func differences(path string, got, want any, mask []string) []string {
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s: %T, want an object", path, got)}
		}
		var all []string
		for name := range got {
			if _, expected := want[name]; !expected {
				all = append(all, fmt.Sprintf("%s.%s: unexpected %v", path, name, got[name]))
			}
		}
		for name, w := range want {
			if absent[name] != "" {
				continue
			}
			g, present := got[name]
			switch {
			case !present:
				all = append(all, fmt.Sprintf("%s.%s: missing, want %v", path, name, w))
			case masked[name] != "" || slices.Contains(mask, name):
				if reflect.TypeOf(g) != reflect.TypeOf(w) {
					all = append(all, fmt.Sprintf("%s.%s: %T, want %T", path, name, g, w))
				}
			default:
				all = append(all, differences(path+"."+name, g, w, mask)...)
			}
		}
		return all
	case []any:
		got, _ := got.([]any)
		if len(got) != len(want) {
			return []string{fmt.Sprintf("%s: %d elements, want %d", path, len(got), len(want))}
		}
		var all []string
		for i := range want {
			all = append(all, differences(fmt.Sprintf("%s[%d]", path, i), got[i], want[i], mask)...)
		}
		return all
	case string:
		if path == ".message" {
			return differentMessages(got, want)
		}
	}
	if !reflect.DeepEqual(got, want) {
		return []string{fmt.Sprintf("%s: %v, want %v", path, got, want)}
	}
	return nil
}

var (
	transactionDump = regexp.MustCompile(`\{_struct:\{\} .*\} invalid : `)
	validTypes      = regexp.MustCompile(`\[valid types: [^]]*\]`)
)

// differentMessages compares error messages but for the dump of a transaction as a Go struct, and for a list that
// the indexer itself orders anew each time that it starts.
func differentMessages(got, want any) []string {
	plain := func(v any) string {
		s := transactionDump.ReplaceAllString(fmt.Sprint(v), "{...} invalid : ")
		return validTypes.ReplaceAllString(s, "[valid types]")
	}
	if plain(got) != plain(want) {
		return []string{fmt.Sprintf("message %.300q, want %.300q", plain(got), plain(want))}
	}
	return nil
}

func TestDevModeRecordingsComeOutTheSame(t *testing.T) {
	all := readRecordings(t, "devmode", "*.json")
	// Round 2369 created asset 9544 after two payments.
	p := newReplay(t, all[3], 2366, 9541)
	p.closedAt = time.Now().Add(-time.Minute) // it was idle
	for _, r := range all {
		t.Run(filepath.Base(r.file), func(t *testing.T) {
			if reason, skip := leftOut[r.name]; skip {
				t.Skip(reason)
			}
			p.check(t, r)
		})
	}
}

func TestNetworkRecordingsComeOutTheSame(t *testing.T) {
	all := readRecordings(t, "network", "[0-9][0-9][0-9]-[^x]*.json")
	// Round 918 created asset 38665 after two payments.
	p := newReplay(t, all[3], 914, 38662)
	p.closedAt = time.Now()
	p.follow(t, all, 1) // it took a round until what was sent got into a block that was not being made yet
}

func TestPoolRecordingsComeOutTheSame(t *testing.T) {
	genesis := readRecordings(t, "network", "004-genesis.json")[0]
	all := readRecordings(t, "network", "[0-9][0-9][0-9]-x-*.json")
	newReplay(t, genesis, 1664, 46900).follow(t, all, 0)
}

// follow replays recordings of a network that closed rounds by the clock: before each request it closes as many as
// the real network had by then, as far as the recordings tell. Of the others is known that the transaction was built
// so many rounds before.
func (p *replay) follow(t *testing.T, all []*recording, rounds types.Round) {
	confirmed := confirmedRounds(t, all)
	for _, r := range all {
		t.Run(filepath.Base(r.file), func(t *testing.T) {
			if reason, skip := leftOut[r.name]; skip {
				t.Skip(reason)
			}
			reached := roundOf(r, confirmed, rounds)
			for p.history.tip().round() < reached || strings.HasPrefix(r.Path, "/v2/assets/") && p.pool.size > 0 {
				if err := p.tick(); err != nil {
					t.Fatal(err)
				}
			}
			p.check(t, r)
		})
	}
}

// confirmedRounds are the rounds of the transactions of which some recording tells the round.
func confirmedRounds(t *testing.T, all []*recording) map[string]types.Round {
	t.Helper()
	rounds := map[string]types.Round{}
	for _, r := range all {
		if r.Method == http.MethodGet && strings.HasPrefix(r.Path, "/v2/transactions/pending/") {
			var pending struct {
				Round types.Round `json:"confirmed-round"`
			}
			_ = json.Unmarshal(r.Body, &pending) // a recording in msgpack has no such body
			if id := filepath.Base(r.Path); pending.Round != 0 {
				rounds[id] = pending.Round
			}
		}
		var found struct {
			Transactions []struct {
				ID    string      `json:"id"`
				Round types.Round `json:"confirmed-round"`
			} `json:"transactions"`
		}
		_ = json.Unmarshal(r.Body, &found) // other bodies have other shapes
		for _, tx := range found.Transactions {
			rounds[tx.ID] = tx.Round
		}
	}
	return rounds
}

// roundOf is the round that the network must have reached for a request, as far as can be told.
func roundOf(r *recording, confirmed map[string]types.Round, rounds types.Round) types.Round {
	if r.Method == http.MethodPost {
		g, err := decodeGroup(bytes.NewReader(r.Request), 16)
		if err != nil {
			return 0
		}
		if round := confirmed[g[0].id.String()]; round != 0 {
			return round - 1
		}
		if r.Status == http.StatusOK {
			return g[0].Txn.FirstValid + rounds
		}
		return 0
	}
	var body struct {
		LastRound types.Round `json:"last-round"`
		Confirmed types.Round `json:"confirmed-round"`
		Round     types.Round `json:"round"`
		Current   types.Round `json:"current-round"`
		Block     struct {
			Rnd types.Round `json:"rnd"`
		} `json:"block"`
	}
	_ = json.Unmarshal(r.Body, &body) // other bodies tell no round
	return max(body.LastRound, body.Confirmed, body.Round, body.Current, body.Block.Rnd)
}
