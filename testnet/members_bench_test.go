package testnet

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/serviceledger/slnode/testnet/cluster"
)

// manyMembers is how many organisations BenchmarkMembers has: SLNODE_BENCH_MEMBERS, or 5.
func manyMembers(b *testing.B) int {
	b.Helper()
	text := os.Getenv("SLNODE_BENCH_MEMBERS")
	if text == "" {
		return 5
	}
	count, err := strconv.Atoi(text)
	if err != nil || count < 3 {
		b.Fatalf("SLNODE_BENCH_MEMBERS is %q, want a number from 3", text)
	}
	return count
}

// BenchmarkMembers: a consortium of SLNODE_BENCH_MEMBERS organisations on this machine, on links as they are within one
// and on slow ones that break: how long it takes to come up, from the request until an object is in the view of the
// last member, and until a third of the members that was killed has all again; what goes over the links for an object
// and at rest; memory. Each takes minutes: "-benchtime 1x".
func BenchmarkMembers(b *testing.B) {
	count := manyMembers(b)
	for _, links := range []struct {
		name string
		quality
	}{{"local", quality{}}, {"80ms and 1 percent cut", quality{delay: 40 * time.Millisecond, cut: 0.01}}} {
		b.Run(fmt.Sprintf("members=%d/%s", count, links.name), func(b *testing.B) {
			for b.Loop() {
				benchmarkMembers(b, count, links.quality)
			}
		})
	}
}

// assembly is a network whose members reach one another over links.
type assembly struct {
	*network
	bytes, cuts atomic.Int64
}

func newAssembly(b *testing.B, count int, q quality) *assembly {
	b.Helper()
	c := &assembly{network: &network{blockchain: newChain(b), t: b}}
	for n := range count {
		o := organisationAt(b, fmt.Sprintf("org%d", n+1), b.TempDir()+"/repo")
		o.chain = c.blockchain
		port := newPort()
		at := cluster.Listen{TAXII: "127.0.0.1:" + newPort(), Gateway: "127.0.0.1:" + newPort(), IPFS: "/ip4/127.0.0.1/tcp/" + port}
		told := "/ip4/127.0.0.1/tcp/" + newLink(b, q, "127.0.0.1:"+port, &c.bytes, &c.cuts)
		account, err := o.Init(patiently(b), o.Name, c.Chain, at, "--ipfs-announce", told)
		must(b, err)
		c.fund(b, account, 20*enoughAlgo)
		b.Cleanup(func() { o.End(syscall.SIGKILL) })
		c.members = append(c.members, o)
	}
	must(b, c.members[0].Found(patiently(b), "The Assembly"))
	c.run(c.members[0])
	for _, newcomer := range c.members[1:] {
		c.admit(newcomer)
		c.run(newcomer)
	}
	return c
}

func (c *assembly) run(o *organisation) { o.start("SLNODE_LOG_LEVEL=warn") }

// present waits until the members can read and write, and each is connected with some others.
func (c *assembly) present() {
	for _, o := range c.members {
		collection, err := o.Settled(patiently(c.t), 1)
		must(c.t, err)
		c.collection = collection
	}
}

// publish posts objects one after the other, each when the one before is complete, and returns when each was posted.
func (c *assembly) publish(first, count int) map[string]time.Time {
	posted := map[string]time.Time{}
	for n := first; n < first+count; n++ {
		posted[indicatorID(n)] = time.Now()
		c.members[0].post(c.collection, indicator(n))
	}
	return posted
}

// added is when the objects of a collection came into a member's view, by id.
func (o *organisation) added(b *testing.B, collection string) map[string]time.Time {
	b.Helper()
	added := map[string]time.Time{}
	for next := ""; ; {
		status, _, body := o.get("/" + o.Name + "/collections/" + collection + "/manifest/?limit=1000&next=" + next)
		if status != http.StatusOK {
			b.Fatalf("%d: %s", status, body)
		}
		var page struct {
			More    bool
			Next    string
			Objects []struct {
				ID        string
				DateAdded time.Time `json:"date_added"`
			}
		}
		must(b, json.Unmarshal([]byte(body), &page))
		for _, object := range page.Objects {
			added[object.ID] = object.DateAdded
		}
		if next = page.Next; !page.More {
			return added
		}
	}
}

// latest waits until all members show what was posted, and gives for each object how long it took until the last of
// them did, in order.
func (c *assembly) latest(b *testing.B, posted map[string]time.Time) (took []time.Duration) {
	b.Helper()
	last := map[string]time.Duration{}
	for _, o := range c.members {
		var added map[string]time.Time
		eventually(b, func() (bool, string) {
			added = o.added(b, c.collection)
			missing := 0
			for id := range posted {
				if _, found := added[id]; !found {
					missing++
				}
			}
			return missing == 0, fmt.Sprintf("%s misses %d of %d", o.Name, missing, len(posted))
		})
		for id, at := range posted {
			last[id] = max(last[id], added[id].Sub(at))
		}
	}
	for _, d := range last {
		took = append(took, d)
	}
	slices.Sort(took)
	return took
}

func percentile(sorted []time.Duration, of int) float64 {
	return float64(sorted[min(len(sorted)-1, len(sorted)*of/100)].Milliseconds())
}

func benchmarkMembers(b *testing.B, count int, q quality) {
	begun := time.Now()
	c := newAssembly(b, count, q)
	c.present()
	b.ReportMetric(time.Since(begun).Seconds(), "up-s")

	const rest = 30 * time.Second
	before := c.bytes.Load()
	time.Sleep(rest) // what goes over the links of who does nothing is what is measured
	idle := float64(c.bytes.Load()-before) / rest.Seconds()
	b.ReportMetric(idle/float64(count), "idle-B/s/member")

	const objects = 100
	before, begun = c.bytes.Load(), time.Now()
	took := c.latest(b, c.publish(0, objects))
	sent := float64(c.bytes.Load()-before) - idle*time.Since(begun).Seconds()
	b.ReportMetric(percentile(took, 50), "p50-ms")
	b.ReportMetric(percentile(took, 99), "p99-ms")
	b.ReportMetric(sent/objects/float64(count-1), "B/object/reader")

	c.thirdAway(b)
	own, most := 0.0, 0.0
	for _, o := range c.members {
		memory := o.memory(b)["RssAnon"]
		own, most = own+memory, max(most, memory)
	}
	b.ReportMetric(own/float64(count), "own-MiB")
	b.ReportMetric(most, "most-own-MiB")
	b.ReportMetric(float64(c.cuts.Load()), "cuts")
}

// thirdAway kills a third of the members, publishes, lets them come back, and reports when the last has all.
func (c *assembly) thirdAway(b *testing.B) {
	b.Helper()
	away := c.members[len(c.members)-len(c.members)/3:]
	for _, o := range away {
		o.kill()
	}
	const first, objects = 1000, 50
	posted := c.publish(first, objects)
	begun := time.Now()
	for _, o := range away {
		c.run(o)
	}
	c.latest(b, posted)
	b.ReportMetric(time.Since(begun).Seconds(), "back-s")
}
