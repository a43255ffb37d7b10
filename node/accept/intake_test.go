package accept

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/taxii"
)

// several are indicators with these numbers, in the parts of several commits.
func several(from, to int) (list taxii.Listed) {
	for n := from; n < to; n++ {
		list = append(list, taxii.Incoming{Raw: []byte(nodetest.IndicatorJSON(n))})
	}
	return list
}

// takes has a publisher take objects in, and gives the items that publish them.
func takes(t *testing.T, p *Publisher, collection string, objects taxii.Objects) (items []outbox.Item) {
	t.Helper()
	c := taxii.Collection{ID: collection}
	into, err := p.target(c)
	nodetest.Must(t, err)
	id, err := p.Accept(worldtest.PublisherRole, c, into, taxii.Addition{Objects: objects})
	nodetest.Must(t, err)
	lines, items := linesOf(t, p, id)
	for _, line := range lines {
		if line.Failure != "" {
			t.Fatal(line.Failure)
		}
	}
	return items
}

// linesOf are all lines of a status, and the items that they have.
func linesOf(t *testing.T, p *Publisher, id string) (lines []outbox.StatusLine, items []outbox.Item) {
	t.Helper()
	kept, _, err := p.Outbox.Status(id)
	nodetest.Must(t, err)
	for part := range kept.Parts() {
		some, err := p.Outbox.StatusLines(id, part)
		nodetest.Must(t, err)
		of, err := p.Outbox.ItemsOf(some)
		nodetest.Must(t, err)
		for _, line := range some {
			lines, items = append(lines, line), append(items, of[line.Item])
		}
	}
	return lines, items
}

// A request comes into the outbox in parts. Whether it goes in batches is decided by what is new in all of it, wherever
// that stands, and nothing of it goes before that is decided.
func TestWhatIsNewInAllOfARequestDecidesWhetherItGoesInBatches(t *testing.T) {
	const known, enough = 2*partItems + 100, 101
	w := worldtest.NewStoredFoundedWorld(t)
	p := publisherIn(w)
	p.Anchor = outbox.Anchor{From: enough, Most: 1000, Bytes: 8 << 20}
	before := takes(t, p, w.Collection, several(0, known))
	if n := len(queued(t, w)); n != 3 {
		t.Fatalf("%d objects are %d batches", known, n)
	}
	first := known
	for fresh, batched := range map[int]bool{enough - 1: false, enough: true} {
		list := several(0, known)
		for i, object := range several(first, first+fresh) { // some in each part
			list = slices.Insert(list, i*(known/fresh), object)
		}
		items := takes(t, p, w.Collection, list)
		if len(items) != known+fresh {
			t.Fatalf("%d items for %d objects", len(items), known+fresh)
		}
		isNew, last := 0, uint64(0)
		for i, item := range items {
			if slices.ContainsFunc(before, func(b outbox.Item) bool { return b.Number == item.Number }) {
				continue
			}
			if isNew++; (item.Batch != 0) != batched {
				t.Errorf("of a request with %d new objects one is in batch %d", fresh, item.Batch)
			}
			payload, err := p.Outbox.Payload(item.Number)
			if err != nil || string(payload) != string(list[i].Raw) {
				t.Errorf("object %d of the request is kept as %.80q, %v", i, payload, err)
			}
			if item.Number < last {
				t.Errorf("object %d of the request comes before what stands before it", i)
			}
			last = item.Number
		}
		if isNew != fresh {
			t.Errorf("%d items are new, want %d", isNew, fresh)
		}
		first, before = first+fresh, append(before, items...)
	}
}

// stubborn are objects of which one can't be read any more after the first time.
type stubborn struct {
	taxii.Listed
	at, reads int
}

var errUnreadable = errors.New("the disk does not give it back")

func (s *stubborn) At(i int) (taxii.Incoming, error) {
	if i == s.at {
		if s.reads--; s.reads < 0 {
			return taxii.Incoming{}, errUnreadable
		}
	}
	return s.Listed.At(i)
}

// What was received is read more than once: for what stands elsewhere, to be checked, and to be taken in.
func TestWhatCannotBeReadAgainIsAnErrorOfTheNode(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	p := publisherIn(w)
	p.Anchor = outbox.Anchor{From: 3, Most: 1000, Bytes: 8 << 20}
	c := taxii.Collection{ID: w.Collection}
	into, err := p.target(c)
	nodetest.Must(t, err)
	definition := taxii.Incoming{Raw: []byte(worldtest.Definition("statement", "(c) ACME"))}
	carries := taxii.Incoming{Raw: []byte(worldtest.MarkedIndicator(1))}
	for reads := range 3 {
		list := &stubborn{Listed: taxii.Listed{carries, definition, several(2, 3)[0]}, at: 1, reads: reads}
		if _, err := p.Accept(worldtest.PublisherRole, c, into, taxii.Addition{Objects: list}); !errors.Is(err, errUnreadable) {
			t.Errorf("what can be read %d times: %v", reads, err)
		}
		if n := w.R.Outbox.Count()[outbox.Accepted]; n > 0 {
			t.Errorf("what can be read %d times: %d objects are taken in", reads, n)
		}
	}
}

// What is wrong with one object of a large request harms none in another part of it.
func TestAFailureInOnePartOfARequestHarmsNoOther(t *testing.T) {
	w := worldtest.NewStoredFoundedWorld(t)
	p := publisherIn(w)
	list := several(0, partItems+10)
	broken := []int{0, partItems - 1, partItems, partItems + 9}
	for _, at := range broken {
		list[at].Raw = []byte(strings.Replace(string(list[at].Raw), `"spec_version":"2.1"`, `"spec_version":"2.0"`, 1))
	}
	c := taxii.Collection{ID: w.Collection}
	into, err := p.target(c)
	nodetest.Must(t, err)
	id, err := p.Accept(worldtest.PublisherRole, c, into, taxii.Addition{Objects: list})
	nodetest.Must(t, err)
	lines, _ := linesOf(t, p, id)
	for i, line := range lines {
		if want := slices.Contains(broken, i); (line.Failure != "") != want || (line.Item == 0) != want {
			t.Errorf("object %d: %+v", i, line)
		}
	}
	if n := w.R.Outbox.Count()[outbox.Accepted]; n != len(list)-len(broken) {
		t.Errorf("%d objects are taken in, want %d", n, len(list)-len(broken))
	}
}

// queued is what waits to be sealed.
func queued(t *testing.T, w *worldtest.World) []outbox.Item {
	t.Helper()
	items, err := w.R.Outbox.Queue(outbox.Accepted, 0, 10)
	nodetest.Must(t, err)
	return items
}

// The status of a request of many objects is read in parts. What each part has was counted before it is read: that
// some of it is done meanwhile changes what is told of it, and not in which list it is.
func TestAPartOfAStatusHasWhatWasCounted(t *testing.T) {
	w := worldtest.NewStoredFoundedWorld(t)
	p := publisherIn(w)
	list := several(0, 600)
	list[599].Err = errors.New("it is no good")
	c := taxii.Collection{ID: w.Collection}
	into, err := p.target(c)
	nodetest.Must(t, err)
	id, err := p.Accept(worldtest.PublisherRole, c, into, taxii.Addition{Objects: list})
	nodetest.Must(t, err)
	status, err := p.status(id)
	nodetest.Must(t, err)
	if len(status.Pendings) != 256 || len(status.Rest) != 2 || status.Rest[1].Pendings != 600-2*256-1 || status.Rest[1].Failures != 1 {
		t.Fatalf("%d are told, and then %+v", len(status.Pendings), status.Rest)
	}
	_, items := linesOf(t, p, id)
	nodetest.Must(t, w.R.Outbox.GiveUp(items[598], "it must not be published"))
	read, err := status.Rest[1].Read()
	nodetest.Must(t, err)
	if len(read.Pendings) != status.Rest[1].Pendings || len(read.Failures) != 1 || read.Failures[0].Message != "it is no good" {
		t.Errorf("%d are pending and %d failures, %+v", len(read.Pendings), len(read.Failures), read.Failures)
	}
	if status, err = p.status(id); err != nil || status.Rest[1].Failures != 2 {
		t.Errorf("the next time it is not told that one has failed: %+v, %v", status.Rest, err)
	}
}
