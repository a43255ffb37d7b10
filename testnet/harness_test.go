package testnet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/health"
	"github.com/serviceledger/slnode/taxii"
	"github.com/serviceledger/slnode/testnet/cluster"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// patience is how long a condition may take to come true. It only bounds how long a failure takes to show.
const patience = waiting.Limit

// eventually waits until a condition is true. The condition says what it sees, for the failure's message.
func eventually(t testing.TB, condition func() (bool, string)) {
	t.Helper()
	waiting.See(t, condition)
}

// organisation is one with its node.
type organisation struct {
	cluster.Node
	t     testing.TB
	chain *blockchain
	algod *proxy // between the node and algod, where a test needs one
	signs string // where the account was made: a repository, and where it is served
	token string // of a session of the account
}

// lastPort is the last port that was given to a node of these tests.
var lastPort atomic.Int32

// newPort gives a port that is free and that no other node of these tests is given, though it doesn't run yet.
func newPort() string {
	for {
		port := strconv.Itoa(10_000 + (os.Getpid()*97+int(lastPort.Add(1)))%20_000)
		if listener, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil && listener.Close() == nil {
			return port
		}
	}
}

// enoughAlgo is what an organisation is given unless a test is about money: for 300 objects.
const enoughAlgo = 30_000_000

// organisationOn makes a repository whose account has the given funds.
func organisationOn(t testing.TB, l *blockchain, name string, microalgo uint64, options ...string) *organisation {
	t.Helper()
	return organisationFrom(t, slnode, l, name, microalgo, options...)
}

// organisationFrom is organisationOn with another program.
func organisationFrom(t testing.TB, program string, l *blockchain, name string, microalgo uint64, options ...string) *organisation {
	t.Helper()
	o := organisationAt(t, name, filepath.Join(t.TempDir(), name))
	o.Program, o.chain = program, l
	at := cluster.Listen{TAXII: "127.0.0.1:" + newPort(), Gateway: "127.0.0.1:" + newPort(), IPFS: "/ip4/127.0.0.1/tcp/" + newPort()}
	account, err := o.Init(patiently(t), strings.ToUpper(name), l.Chain, at, options...)
	must(t, err)
	if microalgo > 0 {
		l.fund(t, account, microalgo)
	}
	t.Cleanup(func() {
		if t.Failed() && o.Process != nil {
			status, problem, _ := o.try("status")
			t.Logf("the status of %s at the end:\n%s%s", o.Name, status, problem)
		}
		o.End(syscall.SIGKILL)
		if t.Failed() {
			o.showLog()
		}
	})
	return o
}

// organisationAt is one whose repository is there already.
func organisationAt(t testing.TB, name, dir string) *organisation {
	return &organisation{t: t, Node: cluster.Node{Program: slnode, Name: name, Dir: dir, Log: dir + ".log", User: "admin", Password: "a secret of " + name}}
}

// patiently is a context for what comes sooner or later, also at the end of a test.
func patiently(t testing.TB) context.Context { return waiting.Context(t) }

func (o *organisation) showLog() {
	log, err := os.ReadFile(o.Log)
	if err != nil {
		return
	}
	var lines []string // without the requests of a test that waits
	for line := range strings.Lines(string(log)) {
		if !strings.Contains(line, `msg="http request"`) || strings.Contains(line, "status=5") {
			lines = append(lines, line)
		}
	}
	const most = 60
	o.t.Logf("the end of the log of %s:\n%s", o.Name, strings.Join(lines[max(0, len(lines)-most):], ""))
}

// try runs a command of slnode on the repository.
func (o *organisation) try(args ...string) (stdout, stderr string, code int) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(o.t.Context()), patience) // also at the end of a test
	defer cancel()
	said, err := o.Run(ctx, args...)
	must(o.t, err)
	return said.Stdout, said.Stderr, said.Code
}

// cli is try for a command that must succeed.
func (o *organisation) cli(args ...string) string {
	o.t.Helper()
	stdout, stderr, code := o.try(args...)
	if code != 0 {
		o.t.Fatalf("slnode %s as %s exits with %d: %s", strings.Join(args, " "), o.Name, code, stderr)
	}
	return stdout
}

// cliJSON runs a command with --json and reads what it prints.
func cliJSON[T any](o *organisation, args ...string) (result T) {
	o.t.Helper()
	out := o.cli(append([]string{"--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		o.t.Fatalf("slnode %v printed %q: %v", args, out, err)
	}
	return result
}

func (o *organisation) account() string {
	o.t.Helper()
	account, err := o.Account(patiently(o.t))
	must(o.t, err)
	return account
}

// startCommand starts a command of slnode on the repository, to be killed.
func startCommand(t testing.TB, o *organisation, args ...string) *exec.Cmd {
	t.Helper()
	command := exec.Command(slnode, append([]string{"--repo", o.Dir}, args...)...)
	must(t, command.Start())
	return command
}

// start starts the daemon, with further environment variables, and waits until it is ready.
func (o *organisation) start(environment ...string) {
	o.t.Helper()
	environment = append([]string{"SLNODE_LOG_LEVEL=debug"}, environment...)
	if o.chain != nil && o.chain.follow != "" {
		environment = append([]string{"SLNODE_ALGORAND_FOLLOW=" + o.chain.follow}, environment...)
	}
	if o.algod != nil {
		environment = append(environment, "SLNODE_ALGORAND_ALGOD_URL="+o.algod.url)
	}
	must(o.t, o.Start(environment...))
	o.ready()
}

// ready waits until the daemon of the process is.
func (o *organisation) ready() {
	o.t.Helper()
	must(o.t, o.Ready(patiently(o.t)))
}

// stop ends the daemon as an operator does, and checks that it ends well and soon.
func (o *organisation) stop() {
	o.t.Helper()
	must(o.t, o.Process.Process.Signal(syscall.SIGTERM))
	ended := make(chan error, 1)
	go func() { ended <- o.Process.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			o.showLog()
			o.t.Errorf("the daemon of %s ended badly: %v", o.Name, err)
		}
	case <-time.After(patience):
		_ = o.Process.Process.Signal(syscall.SIGQUIT) // its goroutines go to the log
		<-ended
		o.showLog()
		o.t.Errorf("the daemon of %s did not end within %v of SIGTERM", o.Name, patience)
	}
	o.Process = nil
}

// kill ends the daemon with SIGKILL.
func (o *organisation) kill() { o.End(syscall.SIGKILL) }

// client is a TAXII client with the node's account; the first call signs it up.
func (o *organisation) client() *taxii.Client {
	o.t.Helper()
	if here := o.Dir + " " + o.Daemon.TAXII; o.signs != here { // each time costs the node as much as a password does
		must(o.t, o.SignUp(o.t.Context()))
		o.signs = here
	}
	client, err := taxii.NewClient("http://"+o.Daemon.TAXII, taxii.ClientConfig{User: o.User, Password: o.Password})
	must(o.t, err)
	return client
}

// watcher is a client for looking again and again: it has a token, where a password would cost the node more than what
// is looked at.
func (o *organisation) watcher() (*taxii.Client, error) {
	o.t.Helper()
	if o.token == "" {
		o.client() // signs up
		token, err := o.Login(o.t.Context())
		if err != nil {
			return nil, err
		}
		o.token = token
	}
	return taxii.NewClient("http://"+o.Daemon.TAXII, taxii.ClientConfig{Token: o.token})
}

// network is a consortium of organisations whose daemons run.
type network struct {
	*blockchain
	t          testing.TB
	members    []*organisation
	collection string // the default one
}

// newNetwork founds a consortium with the first name and admits the others, with the real commands.
func newNetwork(t testing.TB, l *blockchain, names ...string) *network {
	t.Helper()
	n := &network{blockchain: l, t: t}
	for _, name := range names {
		n.members = append(n.members, organisationOn(t, l, name, enoughAlgo))
	}
	founder := n.members[0]
	must(t, founder.Found(patiently(t), "The Testers"))
	founder.start()
	for _, newcomer := range n.members[1:] {
		n.admit(newcomer)
		newcomer.start()
	}
	n.settled(n.members...)
	return n
}

// admit lets a newcomer in.
func (n *network) admit(newcomer *organisation) {
	n.t.Helper()
	must(n.t, n.members[0].Admit(patiently(n.t), &newcomer.Node))
}

// settled waits until organisations can read and write the default collection and are connected with one another.
func (n *network) settled(members ...*organisation) {
	n.t.Helper()
	for _, o := range members {
		collection, err := o.Settled(patiently(n.t), len(members)-1)
		must(n.t, err)
		if n.collection == "" {
			n.collection = collection
		}
	}
}

// post publishes an envelope at a node and waits until it is complete.
func (o *organisation) post(collection string, objects ...string) taxii.StatusResource {
	o.t.Helper()
	status := o.postNow(collection, objects...)
	return o.complete(status.ID)
}

// postNow publishes and returns the first answer.
func (o *organisation) postNow(collection string, objects ...string) taxii.StatusResource {
	o.t.Helper()
	var status taxii.StatusResource
	eventually(o.t, func() (bool, string) { // after a change of keys it may not yet know that it is a member
		var err error
		if status, err = o.tryPost(collection, objects...); err != nil && strings.Contains(err.Error(), "may not add") {
			return false, err.Error()
		}
		must(o.t, err)
		return true, ""
	})
	return status
}

// tryPost is postNow for a node that may refuse.
func (o *organisation) tryPost(collection string, objects ...string) (taxii.StatusResource, error) {
	return o.client().Add(o.t.Context(), "/"+o.Name+"/", collection, envelope(objects...))
}

// complete waits until a status is.
func (o *organisation) complete(id string) (status taxii.StatusResource) {
	o.t.Helper()
	eventually(o.t, func() (bool, string) {
		client, err := o.watcher()
		if err == nil {
			status, err = client.Status(o.t.Context(), "/"+o.Name+"/", id)
		}
		if err != nil {
			o.token = "" // it may be over
		}
		return err == nil && status.PendingCount == 0, fmt.Sprintf("status %+v, %v", status, err)
	})
	return status
}

// confirms waits until the chain has all that the node has taken in. Its view may not have it yet.
func (o *organisation) confirms() {
	o.t.Helper()
	eventually(o.t, func() (bool, string) {
		p := o.status().Publishing
		return p.Accepted+p.Stored+p.Signed == 0, fmt.Sprintf("%s: %+v", o.Name, p)
	})
}

func envelope(objects ...string) []byte {
	return []byte(`{"objects":[` + strings.Join(objects, ",") + `]}`)
}

// objects reads a whole collection at a node.
func (o *organisation) objects(collection string) []string {
	o.t.Helper()
	list, err := o.tryObjects(collection)
	must(o.t, err)
	return list
}

// tryObjects is objects for a node that may not know the collection yet.
func (o *organisation) tryObjects(collection string) ([]string, error) {
	return o.at(o.Name, collection)
}

// at reads a collection of an organisation's API root at a node.
func (o *organisation) at(root, collection string) (list []string, err error) {
	client, err := o.watcher()
	if err != nil {
		return nil, err
	}
	for page, err := range client.Objects(o.t.Context(), "/"+root+"/", collection, taxii.Filter{Version: "all"}) {
		if err != nil {
			o.token = "" // it may be over
			return nil, err
		}
		for _, object := range page.Objects {
			list = append(list, string(object))
		}
	}
	return list, nil
}

// shows waits until a node serves objects, each byte for byte.
func (o *organisation) shows(collection string, objects ...string) {
	o.t.Helper()
	eventually(o.t, func() (bool, string) {
		list, err := o.tryObjects(collection)
		served := map[string]bool{}
		for _, object := range list {
			served[object] = true
		}
		missing := 0
		for _, object := range objects {
			if !served[object] {
				missing++
			}
		}
		if err == nil && missing == 0 {
			return true, ""
		}
		return false, fmt.Sprintf("%s serves %d objects and misses %d of %d (%s); %+v", o.Name, len(served), missing, len(objects), errorText(err), o.status())
	})
}

// status is how the node is, as "slnode status" tells.
func (o *organisation) status() health.Status {
	o.t.Helper()
	return told[health.Status](o, "/admin/status", "status")
}

// consortium is what the node knows about its consortium, as "slnode consortium show" tells.
func (o *organisation) consortium() control.ConsortiumInfo {
	o.t.Helper()
	return told[control.ConsortiumInfo](o, "/admin/consortium", "consortium", "show")
}

// told is what a command tells. While the daemon runs it is asked itself: a process for every look of a test that waits
// would be most of what the machine does.
func told[T any](o *organisation, path string, args ...string) (answer T) {
	o.t.Helper()
	if o.Process != nil && o.Ask(patiently(o.t), path, &answer) == nil {
		return answer
	}
	return cliJSON[T](o, args...)
}

// indicator is a STIX object of its own for every number.
func indicator(n int) string {
	return fmt.Sprintf(`{"type":"indicator","spec_version":"2.1","id":"indicator--%08x-17d4-4cbf-938f-98ee46b3cd3f","created":"2026-01-02T03:04:05.678Z",`+
		`"modified":"2026-01-02T03:04:05.678Z","name":"Indicator %d","pattern":"[file:hashes.MD5 = '%032x']","pattern_type":"stix","valid_from":"2026-01-02T03:04:05Z"}`, n, n, n)
}

func indicators(first, count int) (list []string) {
	for n := first; n < first+count; n++ {
		list = append(list, indicator(n))
	}
	return list
}

// grep gives the files below a folder that contain a text.
func grep(t testing.TB, dir, text string) (found []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			found = append(found, path)
		}
		return err
	}))
	return found
}

// get makes a request with the node's account.
func (o *organisation) get(path string) (status int, header http.Header, body string) {
	o.t.Helper()
	o.client()
	request, err := http.NewRequestWithContext(o.t.Context(), http.MethodGet, "http://"+o.Daemon.TAXII+path, nil)
	must(o.t, err)
	request.SetBasicAuth(o.User, o.Password)
	response, err := http.DefaultClient.Do(request)
	must(o.t, err)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	must(o.t, err)
	return response.StatusCode, response.Header, string(data)
}

// testData is where the real STIX data is, if it is there.
func testData(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("SLNODE_TEST_DATA")
	if dir == "" {
		t.Skip("SLNODE_TEST_DATA does not say where real STIX data is")
	}
	return filepath.Join(dir, "data")
}
