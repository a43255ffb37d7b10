package testnet

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// lastRelease builds the program of the last release before this commit, or of the revision that SLNODE_TEST_RELEASE
// names. So what a release writes is written by the release itself, and is no file that nobody could make anew.
func lastRelease(t *testing.T) string {
	t.Helper()
	revision := os.Getenv("SLNODE_TEST_RELEASE")
	if revision == "" {
		out, err := exec.Command("git", "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD^").CombinedOutput()
		if err != nil {
			t.Skipf("nothing has been released that could be upgraded from: git finds no tag v* before this commit (%s)", strings.TrimSpace(string(out)))
		}
		revision = strings.TrimSpace(string(out))
	}
	dir := t.TempDir()
	unpack := exec.Command("/bin/sh", "-c", `git -C .. archive "$1" | tar -x -C "$2"`, "sh", revision, dir)
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("unpacking %s: %v: %s", revision, err, out)
	}
	build := compile("-buildvcs=false", "-o", filepath.Join(dir, "released"), "./cmd/slnode")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v: %s", revision, err, out)
	}
	t.Logf("the upgrade is from %s", revision)
	return filepath.Join(dir, "released")
}

// Two members run the last release and are upgraded one after the other, as their operators would.
func TestARepositoryOfTheLastReleaseGoesOnWithThisProgram(t *testing.T) {
	t.Parallel()
	released := lastRelease(t)
	l := newChain(t)
	n := &network{blockchain: l, t: t}
	for _, name := range []string{"alpha", "bravo"} {
		n.members = append(n.members, organisationFrom(t, released, l, name, enoughAlgo))
	}
	alpha, bravo := n.members[0], n.members[1]
	must(t, alpha.Found(patiently(t), "The Upgraders"))
	alpha.start()
	n.admit(bravo)
	bravo.start()
	n.settled(alpha, bravo)
	alpha.post(n.collection, indicator(1), indicator(2))
	alpha.post(n.collection, indicators(10, 150)...) // a batch
	alpha.cli("withdraw", indicatorID(2))
	bravo.post(n.collection, indicator(3))
	shown := func(published ...string) {
		t.Helper()
		for _, o := range n.members {
			eventually(t, func() (bool, string) {
				list, err := o.tryObjects(n.collection)
				missing := slices.DeleteFunc(slices.Clone(published), func(id string) bool {
					return slices.ContainsFunc(list, func(object string) bool { return strings.Contains(object, id) })
				})
				there := slices.ContainsFunc(list, func(object string) bool { return strings.Contains(object, indicatorID(2)) })
				return err == nil && len(missing) == 0 && !there, fmt.Sprintf("%s lacks %v, shows the withdrawn one: %t, %v", o.Name, missing, there, err)
			})
		}
	}
	published := []string{indicatorID(1), indicatorID(3), indicatorID(10), indicatorID(159)}
	shown(published...)

	for i, o := range []*organisation{bravo, alpha} { // in between one is of the release and one of this commit
		o.stop()
		o.Program, o.token = slnode, ""
		o.start()
		n.settled(alpha, bravo)
		shown(published...)
		next := 1000 + i
		alpha.post(n.collection, indicator(next))
		bravo.post(n.collection, indicator(next+100))
		published = append(published, indicatorID(next), indicatorID(next+100))
		shown(published...)
	}
	for _, o := range n.members {
		eventually(t, func() (bool, string) {
			out, problem, code := o.try("status", "--check")
			return code == 0, out + problem
		})
	}
	alpha.cli("verify", indicatorID(1))
	bravo.cli("verify", indicatorID(10))
}
