package testnet

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"filippo.io/age"
	"github.com/creack/pty"

	"github.com/serviceledger/slnode/node/members"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/testnet/cluster"
)

// A document says of each block of shell commands in it how it is run here, in a comment before it that readers don't
// see, or why it isn't:
//
//	<!-- run at acme: daemon, cobalt, sample-bundle.json -->
//	<!-- not run: it needs systemd -->
//
// After the colon stands what there is before: the organisation's daemon runs, another organisation is a member and
// runs, a bundle was published, or one of [props].
type words struct {
	file, text string
	line       int
	at         string   // the organisation
	before     []string // what there is before
	whyNot     string
}

var (
	shellBlock = regexp.MustCompile("(?ms)^(?:<!-- ([^\n]*) -->\n)?```sh\n(.*?)^```")
	runAt      = regexp.MustCompile(`^run at ([a-z-]+)(?:: (.*))?$`)
)

func wordsOf(t *testing.T, file string) (blocks []words) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", file))
	must(t, err)
	for _, at := range shellBlock.FindAllSubmatchIndex(text, -1) {
		b := words{file: file, text: string(text[at[4]:at[5]]), line: 1 + bytes.Count(text[:at[4]], []byte("\n"))}
		said := ""
		if at[2] >= 0 {
			said = string(text[at[2]:at[3]])
		}
		why, not := strings.CutPrefix(said, "not run: ")
		run := runAt.FindStringSubmatch(said)
		switch {
		case not && why != "":
			b.whyNot = why
		case run == nil:
			t.Errorf("%s:%d: nothing says how these commands are run, or why they are not: %q", file, b.line, said)
			continue
		default:
			b.at, b.before = run[1], strings.FieldsFunc(run[2], func(r rune) bool { return strings.ContainsRune(", ", r) })
		}
		blocks = append(blocks, b)
	}
	return blocks
}

// theGovernor begins a line that the governor types, in between.
const theGovernor = "#   the governor:"

// lines are the commands of a block, each as it is typed.
func (b words) lines() (list []string) {
	for line := range strings.Lines(strings.ReplaceAll(b.text, "\\\n", "")) {
		line = strings.TrimSpace(line)
		if line != "" && (!strings.HasPrefix(line, "#") || strings.HasPrefix(line, theGovernor)) {
			list = append(list, line)
		}
	}
	return list
}

// readers is what the commands of one document find: the organisations that it speaks of, and a folder in which files
// go from hand to hand.
type readers struct {
	*network
	t      *testing.T
	dir    string
	names  map[string]*organisation
	source string // of feeds
	safe   string // the recipient of backups
}

// password is typed where one is asked for.
const password = "a password for all of them"

func newReaders(t *testing.T) *readers {
	t.Helper()
	w := &readers{t: t, network: &network{blockchain: newChain(t), t: t}, dir: t.TempDir(), names: map[string]*organisation{}}
	must(t, os.Mkdir(filepath.Join(w.dir, "bin"), 0o700))
	must(t, os.Symlink(slnode, filepath.Join(w.dir, "bin", "slnode")))
	must(t, os.MkdirAll(filepath.Join(w.dir, "misp-warninglists", "lists", "tranco10k"), 0o700))
	sample, err := os.ReadFile("../internal/stix/testdata/sample-bundle.json")
	must(t, err)
	key, err := age.GenerateHybridIdentity()
	must(t, err)
	w.safe = key.Recipient().String()
	for name, content := range map[string]string{ // what the documents name
		"otx": "a key\n", "misp": "a key\n",
		"sample-bundle.json": string(sample), "bundle.json": string(envelope(indicators(70, 3)...)), "password": "a password of opencti\n",
		"report.json": string(envelope(strings.ReplaceAll(indicator(9), indicatorID(9), "indicator--99994cf0-c49f-435d-8a5e-fe37a6eb50b5"))),
		"safe.key":    key.String() + "\n",
		"misp-warninglists/lists/tranco10k/list.json": `{"name": "Much visited", "version": 1, "type": "hostname", "list": ["visited.example"]}`,
	} {
		must(t, os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o600))
	}
	return w
}

// named is an organisation of the document; it has nothing yet when it is named first.
func (w *readers) named(name string) *organisation {
	if w.names[name] == nil {
		o := organisationAt(w.t, name, filepath.Join(w.dir, name, "slnode"))
		must(w.t, os.Mkdir(filepath.Dir(o.Dir), 0o700))
		o.chain = w.blockchain
		w.t.Cleanup(func() {
			o.End(syscall.SIGKILL)
			if w.t.Failed() {
				o.showLog()
			}
		})
		w.names[name] = o
		w.members = append(w.members, o)
	}
	return w.names[name]
}

// member makes an organisation one, whose daemon runs.
func (w *readers) member(name string) {
	o := w.named(name)
	if _, err := os.Stat(filepath.Join(o.Dir, "config.toml")); err != nil {
		w.begin(o)
	}
	if _, err := os.Stat(filepath.Join(o.Dir, "consortium.json")); err != nil {
		w.admit(o)
	}
	w.up(o)
}

// otx is a server whose user is a key, with what a member shares with the others.
func (w *readers) otx(o *organisation) (root string) {
	o.client() // signs up
	source := newProxy(w.t, "http://"+o.Daemon.TAXII)
	source.set(func(r *http.Request) bool {
		user, _, found := r.BasicAuth()
		if found && user == "a key" {
			r.SetBasicAuth(o.User, o.Password)
		}
		return true
	}, nil)
	return source.url + "/" + o.Name + "/"
}

// begin is "slnode init" and money.
func (w *readers) begin(o *organisation) {
	at := cluster.Listen{TAXII: "127.0.0.1:" + newPort(), Gateway: "127.0.0.1:" + newPort(), IPFS: "/ip4/127.0.0.1/tcp/" + newPort()}
	_, err := o.Init(patiently(w.t), strings.ToUpper(o.Name), w.Chain, at)
	must(w.t, err)
	w.fund(w.t, o.account(), enoughAlgo)
}

// up lets an organisation's daemon run.
func (w *readers) up(o *organisation) {
	if o.Process == nil {
		o.start()
	}
	collection, err := o.Settled(patiently(w.t), 0)
	must(w.t, err)
	w.collection = collection
}

// prepare brings about what a block needs.
func (w *readers) prepare(b words) {
	for _, need := range b.before {
		o := w.named(b.at)
		switch {
		case need == "daemon":
			w.up(o)
		case need == "founded":
			w.begin(o)
			must(w.t, o.Found(patiently(w.t), "Energy Sharing"))
			w.up(o)
		case need == "initialised":
			w.begin(o)
		case need == "stopped":
			o.stop()
		case need == "paul":
			_, stderr, code := w.shell(o, "printf 'PASSWORD of paul' | slnode account add paul --role publisher")
			if code != 0 && !strings.Contains(stderr, "already") {
				w.t.Fatal(stderr)
			}
		case need == "feed":
			w.source = w.otx(w.named("borealis"))
		case need == "alice": // has logged in
			if _, stderr, code := w.shell(o, w.here(o, `curl -fsS -H 'Content-Type: application/json' `+
				`-d '{"username":"alice","password":"`+password+`"}' http://127.0.0.1:9440/v1/login`)); code != 0 {
				w.t.Fatal(stderr)
			}
		case need == "elsewhere": // see run
		case need == "paid-governor":
			var governor members.GovernorInfo
			must(w.t, o.Read(patiently(w.t), &governor, "governor", "show"))
			w.fund(w.t, governor.Account, enoughAlgo)
		case strings.HasSuffix(need, ".json"):
			if out, stderr, code := w.shell(o, "slnode publish "+need); code != 0 {
				w.t.Fatalf("publishing %s: %s%s", need, out, stderr)
			}
		default:
			w.member(need)
		}
	}
}

// here puts what is true on this network in the place of what the documents name.
func (w *readers) here(o *organisation, line string) string {
	pairs := []string{
		"sudo -u slnode ", "", "/tmp/", w.dir + "/",
		"/var/lib/slnode", o.Dir, "https://algod.example", w.Algod, "https://indexer.example", w.Indexer, "--algod URL", "--algod " + w.Algod,
		"--indexer URL", "--indexer " + w.Indexer, "/mnt/safe", w.dir, "age1pq1…", w.safe, "/collections/ID/", "/collections/" + w.collection + "/",
		"https://otx.alienvault.com/taxii/root", w.source, "user_AlienVault", "default", "file:/etc/slnode", "file:" + w.dir,
		"paul:PASSWORD", "'paul:PASSWORD of paul'", `"PASSWORD"`, `"PASSWORD of paul"`,
	}
	if o.Process != nil {
		pairs = append(pairs, "https://node.acme.example", "http://"+o.Daemon.TAXII, "http://127.0.0.1:9440", "http://"+o.Daemon.TAXII)
	}
	if strings.Contains(line, "K627N") {
		var shown withdraw.Shown
		must(w.t, o.Read(patiently(w.t), &shown, "show", "indicator--d6ebcbf6-c179-43b8-8506-49cb0df5d6c5"))
		pairs = append(pairs, "K627NPBRIUPMEFJXSD3MJY6ZECHGVDXGUJBLBOS2OZAHA6ENTVNA", shown.Publications[0].TxID)
	}
	return strings.NewReplacer(pairs...).Replace(line)
}

// shell runs a line as an organisation's operator types it.
func (w *readers) shell(o *organisation, line string) (stdout, stderr string, code int) {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", line)
	command.Dir = w.dir
	answers := "y\n"
	if strings.Contains(line, "account add") {
		answers = password + "\n" + password + "\n"
	}
	keyboard, terminal, err := pty.Open()
	must(w.t, err)
	defer keyboard.Close()
	defer terminal.Close()
	_, err = keyboard.WriteString(answers) // ahead of the questions
	must(w.t, err)
	command.Stdin, command.SysProcAttr = terminal, &syscall.SysProcAttr{Setsid: true, Setctty: true}
	command.Env = append(os.Environ(), w.environment(o)...)
	var out, problem bytes.Buffer
	command.Stdout, command.Stderr = &out, &problem
	_ = command.Run() // its exit code says what became of it
	return out.String(), problem.String(), command.ProcessState.ExitCode()
}

func (w *readers) environment(o *organisation) []string {
	return []string{
		"SLNODE_REPO=" + o.Dir, "PATH=" + filepath.Join(w.dir, "bin") + ":" + os.Getenv("PATH"), "SLNODE_ALGORAND_ALGOD_TOKEN=" + w.AlgodToken,
		"SLNODE_ALGORAND_INDEXER_TOKEN=" + w.IndexerToken,
	}
}

// initialise is a line that makes a repository: the ports that the documents leave at their defaults are free ones.
func (w *readers) initialise(o *organisation, line string) string {
	return fmt.Sprintf("%s --taxii-listen 127.0.0.1:%s --gateway 127.0.0.1:%s --ipfs-listen /ip4/127.0.0.1/tcp/%s --algod-token '%s' --indexer-token '%s'",
		line, newPort(), newPort(), newPort(), w.AlgodToken, w.IndexerToken)
}

// elsewhere lets an organisation go on with another repository, as on another machine, until it is told to come back.
func (w *readers) elsewhere(o *organisation) (back func()) {
	o.stop()
	here := o.Dir
	o.Dir += ".elsewhere"
	return func() {
		if o.Process != nil {
			o.stop()
		}
		o.Dir = here
	}
}

func (w *readers) run(b words) {
	if slices.Contains(b.before, "elsewhere") {
		defer w.elsewhere(w.named(b.at))()
	}
	w.prepare(b)
	for _, typed := range b.lines() {
		o := w.named(b.at)
		if line, governor := strings.CutPrefix(typed, theGovernor); governor {
			o, typed = w.named("acme"), line
		}
		line := w.here(o, typed)
		begins := strings.Contains(line, "slnode ") && strings.Contains(line, " init ")
		switch {
		case strings.HasSuffix(strings.TrimSpace(line), " daemon"):
			o.start()
			_, err := o.Settled(patiently(w.t), 0)
			must(w.t, err)
			continue
		case begins:
			line, _, _ = strings.Cut(line, " #")
			line = w.initialise(o, line)
		}
		out, stderr, code := w.shell(o, line)
		if code != 0 {
			w.t.Errorf("%s:%d: %q exits with %d: %s%s", b.file, b.line, typed, code, out, stderr)
		}
		if begins {
			w.fund(w.t, o.account(), enoughAlgo)
		}
	}
}

// Each document is a test of its own: subtests that run beside others would begin when all other tests have.
func TestTheCommandsOfREADMERunAsWritten(t *testing.T)     { runAsWritten(t, "README.md") }
func TestTheCommandsOfSTARTRunAsWritten(t *testing.T)      { runAsWritten(t, "docs/START.md") }
func TestTheCommandsOfOPERATIONSRunAsWritten(t *testing.T) { runAsWritten(t, "docs/OPERATIONS.md") }
func TestTheCommandsOfOFFICERRunAsWritten(t *testing.T)    { runAsWritten(t, "docs/OFFICER.md") }
func TestTheCommandsOfCLIENTSRunAsWritten(t *testing.T)    { runAsWritten(t, "docs/CLIENTS.md") }

func runAsWritten(t *testing.T, file string) {
	t.Parallel()
	w := newReaders(t)
	blocks := wordsOf(t, file)
	for _, b := range blocks {
		if b.whyNot == "" && !t.Failed() {
			w.run(b)
		}
	}
	if !slices.ContainsFunc(blocks, func(b words) bool { return b.whyNot == "" }) {
		t.Errorf("no command of %s is run", file)
	}
}
