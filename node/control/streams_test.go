package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/proof"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo"
	auditfile "github.com/serviceledger/slnode/repo/auditlog"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/taxii"
)

// Evidence is a file: what came from the notary arrives byte for byte. Only one that holds an object in clear is a
// reading.
func TestEvidenceArrivesByteForByteAndADisclosureIsWrittenDown(t *testing.T) {
	o := newOperated(t)
	for _, disclose := range []bool{false, true} {
		data, err := o.client.Evidence(t.Context(), "indicator--1 &disclose=true", disclose)
		if err != nil || string(data) != "{\"evidence\": \"byte for byte\" }\n" {
			t.Errorf("%q, %v", data, err)
		}
		if asked := o.parts.taken(); asked != fmt.Sprintf("evidence indicator--1 &disclose=true %t", disclose) {
			t.Errorf("asked is %q", asked)
		}
	}
	if lines := o.lines(); !slices.Equal(lines, []string{"read 1 evidence"}) {
		t.Errorf("written down are %q", lines)
	}
	o.parts.err = problem.Input(errors.New("it was withdrawn"))
	if _, err := o.client.Evidence(t.Context(), "T", true); !isInput(err) || err.Error() != "it was withdrawn" || len(o.lines()) != 1 {
		t.Errorf("%v, written down are %q", err, o.lines())
	}
}

func isInput(err error) bool {
	var input *problem.InputError
	return errors.As(err, &input)
}

func TestACrosscheckTellsHowFarItIsAndEndsWithItsResultOrWhyNot(t *testing.T) {
	o := newOperated(t)
	for _, steps := range []uint64{0, 3} {
		o.parts.steps, o.parts.err = steps, nil
		var told []uint64
		progress := func(done, total uint64) {
			if total != steps {
				t.Errorf("%d of %d", done, total)
			}
			told = append(told, done)
		}
		result, err := o.client.Crosscheck(t.Context(), proof.CrosscheckOptions{EveryRound: true, From: 7}, progress)
		if err != nil || !result.Passed || result.Rounds != 9 || len(told) != int(steps) {
			t.Errorf("%+v, %v, it was told %v", result, err, told)
		}
		if asked := o.parts.taken(); asked != "crosscheck true 7" {
			t.Errorf("asked is %q", asked)
		}
		o.parts.err = errors.New("algod is away")
		if _, err := o.client.Crosscheck(t.Context(), proof.CrosscheckOptions{}, progress); err == nil || err.Error() != "algod is away" || isInput(err) {
			t.Errorf("after %d lines: %v", steps, err)
		}
		o.parts.taken()
	}
	o.parts.steps, o.parts.err = 0, problem.Input(errors.New("round 9 is yet to come"))
	if _, err := o.client.Crosscheck(t.Context(), proof.CrosscheckOptions{From: 9}, nil); !isInput(err) {
		t.Errorf("the caller's mistake: %v", err)
	}
	o.parts.taken()
	for _, from := range []string{"x", "-1", "1.5", "18446744073709551616"} {
		if status, body := o.do(http.MethodGet, "/admin/audit?from="+from, ""); status != http.StatusBadRequest || !strings.Contains(body, "is not a round") {
			t.Errorf("from %s: %d %s", from, status, body)
		}
	}
	if asked, lines := o.parts.taken(), o.lines(); asked != "" || len(lines) > 0 {
		t.Errorf("asked is %q, written down are %q", asked, lines)
	}
}

// An answer that is cut off is no result, whatever it said before.
func TestACrosscheckThatIsCutOffHasNoResult(t *testing.T) {
	for _, answer := range []string{"", `{"done":1,"total":2}`, `{"done":1,"total":2}{"result":{"pas`} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) }))
		c := &Client{base: server.URL, http: server.Client()}
		if result, err := c.Crosscheck(t.Context(), proof.CrosscheckOptions{}, func(_, _ uint64) {}); err == nil {
			t.Errorf("%q is the result %+v", answer, result)
		}
		server.Close()
	}
}

func TestTheDaemonsPartOfABackupIsWhatTheRepositoryDumps(t *testing.T) {
	o := newOperatedIn(t, worldtest.NewStoredHostileWorld(t))
	want := bytes.Buffer{}
	o.parts.directory = map[string][]unixfs.File{}
	events, err := o.R.View.Records()
	nodetest.Must(t, err)
	o.parts.directory[events[0].Directory] = []unixfs.File{{Name: "metadata.json", Data: []byte("some metadata")}, {Name: "charter.json", Data: []byte("a charter")}}
	nodetest.Must(t, o.R.Dump(t.Context(), &want, readFrom(hosting{o.parts})))
	dump, err := o.client.dump(t.Context())
	nodetest.Must(t, err)
	got, err := io.ReadAll(dump)
	nodetest.Must(t, errors.Join(err, dump.Close()))
	if !bytes.Equal(got, want.Bytes()) || !bytes.Contains(got, []byte("some metadata")) {
		t.Errorf("%d bytes arrive of %d", len(got), want.Len())
	}
	if lines := o.lines(); !slices.Equal(lines, []string{"backup"}) {
		t.Errorf("written down are %q", lines)
	}
	o.parts.broken = errors.New("the disk says no")
	dump, err = o.client.dump(t.Context())
	if err == nil {
		_, err = io.ReadAll(dump)
		_ = dump.Close()
	}
	if err == nil || len(o.lines()) != 1 {
		t.Errorf("a dump that fails: %v, written down are %q", err, o.lines())
	}
	waiting.See(t, func() (bool, string) { // who asked may know before it is logged
		log := o.said.String()
		return strings.Contains(log, "the disk says no"), "the log says " + log
	})
	stranger := *o.client
	stranger.token = "wrong"
	if _, err := stranger.dump(t.Context()); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("without the token: %v", err)
	}
}

func TestADumpSkipsDirectoriesThatAreNotHereAndNothingElse(t *testing.T) {
	p := &parts{directory: map[string][]unixfs.File{}}
	read := readFrom(hosting{p})
	const somewhere = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"
	if files, err := read(t.Context(), somewhere); err != nil || files != nil {
		t.Errorf("what is not here: %v, %v", files, err)
	}
	p.directory[somewhere] = []unixfs.File{{Name: "a", Data: []byte("b")}}
	if files, err := read(t.Context(), somewhere); err != nil || len(files) != 1 || files[0].Name != "a" || string(files[0].Data) != "b" {
		t.Errorf("what is here: %v, %v", files, err)
	}
	p.broken = errors.New("damaged")
	if _, err := read(t.Context(), somewhere); err == nil {
		t.Error("what is damaged is passed over")
	}
	if _, err := read(t.Context(), "no CID"); err == nil || !strings.Contains(err.Error(), "no CID") {
		t.Errorf("what is no CID: %v", err)
	}
}

// The command line is a TAXII client with an administrator's rights; its requests are no news for the log.
func TestTheCommandLineIsATAXIIClientOfItsOwn(t *testing.T) {
	o := newOperated(t)
	c, err := o.client.TAXII()
	nodetest.Must(t, err)
	discovery, err := c.Discovery(t.Context())
	if err != nil || len(discovery.APIRoots) != 4 { // self, founder, mallory, consortium
		t.Errorf("%+v, %v", discovery, err)
	}
	if strings.Contains(o.said.String(), "http request") {
		t.Errorf("the log has the command line's requests: %s", o.said)
	}
	if status, _ := o.do(http.MethodGet, "/taxii2/", "", "Accept: application/taxii+json;version=2.1", "Authorization: Bearer wrong"); status != http.StatusUnauthorized {
		t.Errorf("with another token: %d", status)
	}
	op := operator{token: token, organisation: "self"}
	if _, err := op.Password(t.Context(), "operator", token); !errors.Is(err, taxii.ErrUnauthorized) {
		t.Errorf("the token as a password: %v", err)
	}
	if who, err := op.Token(t.Context(), token); err != nil || who.User != auditlog.Operator || who.Role != taxii.RoleAdmin || who.Org != "self" || who.Credential != "the repository" {
		t.Errorf("the operator is %+v, %v", who, err)
	}
	if status, _ := o.do(http.MethodGet, "/self/collections/"+o.Collection+"/stream", ""); status != http.StatusNotFound {
		t.Errorf("there is a stream: %d", status)
	}
}

func TestWhereTheNodesTimeGoesIsSeenByWhoHasTheToken(t *testing.T) {
	o := newOperated(t)
	for _, name := range []string{"heap", "goroutine", "allocs", "mutex", "block"} {
		if status, body := o.do(http.MethodGet, "/admin/pprof/"+name+"?debug=1", ""); status != http.StatusOK || len(body) == 0 {
			t.Errorf("%s: %d", name, status)
		}
	}
	if status, _ := o.do(http.MethodGet, "/admin/pprof/cmdline", ""); status == http.StatusOK {
		t.Error("the command line is shown")
	}
}

func TestABackupOfARepositoryWithoutADaemonIsWholeAndWrittenDown(t *testing.T) {
	dir := t.TempDir()
	config := config.Default()
	config.Organisation.Name = "acme"
	_, err := repo.Init(dir, config, "")
	nodetest.Must(t, err)
	var archive bytes.Buffer
	manifest, err := Backup(t.Context(), dir, nil, nil, &archive)
	if err != nil || archive.Len() == 0 || manifest.Organisation != "acme" {
		t.Errorf("%d bytes, %+v, %v", archive.Len(), manifest, err)
	}
	var lines []string
	nodetest.Must(t, auditfile.Read(t.Context(), dir, auditfile.Filter{Event: "backup"}, func(line []byte) error {
		var e taxii.Event
		lines = append(lines, string(line))
		return json.Unmarshal(line, &e)
	}))
	if len(lines) != 1 {
		t.Errorf("written down are %q", lines)
	}
	if _, err := Backup(t.Context(), dir, nil, nil, failing{}); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("what can't be written: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Backup(ctx, t.TempDir(), nil, nil, &archive); err == nil {
		t.Error("a folder that is no repository has a backup")
	}
}

// failing is a disk without room.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no room") }
