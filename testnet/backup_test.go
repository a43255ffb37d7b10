package testnet

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"filippo.io/age"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/node/withdraw"
)

// safe is where backups are kept.
type safe struct {
	recipient string
	identity  string // a file
	file      string
}

func newSafe(t testing.TB) safe {
	t.Helper()
	key, err := age.GenerateHybridIdentity()
	must(t, err)
	dir := t.TempDir()
	s := safe{recipient: key.Recipient().String(), identity: filepath.Join(dir, "safe.key"), file: filepath.Join(dir, "node.backup")}
	must(t, os.WriteFile(s.identity, []byte(key.String()+"\n"), 0o600))
	return s
}

func (s safe) backUp(o *organisation) {
	o.t.Helper()
	o.cli("backup", "--recipient", s.recipient, s.file)
	info, err := os.Stat(s.file)
	must(o.t, err)
	if info.Mode().Perm() != 0o600 {
		o.t.Errorf("the backup has mode %04o", info.Mode().Perm())
	}
}

// loseAndRestore kills a node, deletes all of it, and makes it anew from the backup.
func (s safe) loseAndRestore(o *organisation) {
	o.t.Helper()
	o.End(syscall.SIGKILL)
	must(o.t, os.RemoveAll(o.Dir))
	o.cli("restore", "--identity", s.identity, s.file)
	o.start("SLNODE_TAXII_PUBLISH_WAIT=0s")
}

// recovers lets the rounds pass in which something of the lost node could be confirmed.
func (o *organisation) recovers() {
	o.t.Helper()
	eventually(o.t, func() (bool, string) {
		s := o.status()
		return s.Publishing.Problem == "restored", fmt.Sprintf("%+v", s.Publishing)
	})
	o.chain.advance(o.t, ledger.Window)
}

// mintedOnce checks that an organisation made one NFT for every object and record, with sequence numbers from 1 on.
func (o *organisation) mintedOnce(objects, records int) {
	o.t.Helper()
	info := o.consortium()
	urls, notes := o.chain.minted(o.t, o.account(), info.ID)
	if len(urls) != objects+records {
		o.t.Errorf("%s made %d NFTs for %d objects and %d records", o.Name, len(urls), objects, records)
	}
	for sequence := 1; sequence <= len(notes); sequence++ {
		count := 0
		for _, note := range notes {
			if strings.Contains(note, fmt.Sprintf(`"s":%d}`, sequence)) || strings.Contains(note, fmt.Sprintf(`"s":%d,`, sequence)) {
				count++
			}
		}
		if count != 1 {
			o.t.Errorf("%s used the sequence number %d %d times", o.Name, sequence, count)
		}
	}
}

func TestALostNodeComesBackFromItsBackup(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, development(t), "alpha", "bravo")
	founder, lost := n.members[0], n.members[1]
	s := newSafe(t)
	founder.post(n.collection, indicators(0, 5)...)
	lost.post(n.collection, indicators(10, 5)...)
	s.backUp(lost) // beside the daemon
	lost.post(n.collection, indicators(20, 5)...)
	founder.post(n.collection, indicators(30, 5)...)
	everything := slices.Concat(indicators(0, 5), indicators(10, 5), indicators(20, 5), indicators(30, 5))
	founder.shows(n.collection, everything...)

	s.loseAndRestore(lost)
	lost.shows(n.collection, everything...)
	// What it published before and after the backup is posted again, and something new.
	status := lost.postNow(n.collection, slices.Concat(indicators(10, 5), indicators(20, 5), indicators(40, 5))...)
	if status.FailureCount != 0 {
		t.Errorf("the status is %+v", status)
	}
	lost.recovers()
	if status = lost.complete(status.ID); status.SuccessCount != 15 {
		t.Errorf("the status is %+v", status)
	}
	founder.shows(n.collection, append(everything, indicators(40, 5)...)...)
	lost.mintedOnce(15, 0)
	if got := len(lost.objects(n.collection)); got != 25 {
		t.Errorf("%d objects are shown, want 25", got)
	}
}

// What was accepted and not confirmed when the backup was made is in it, with its ciphertext. Whether the lost node
// still published it or not: after the restore it is published once.
func TestWhatABackupHasInItsOutboxIsPublishedOnce(t *testing.T) {
	for _, published := range []bool{false, true} {
		t.Run(fmt.Sprintf("by the lost node %t", published), func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, development(t), "alpha", "bravo")
			lost, reader := n.members[0], n.members[1]
			s := newSafe(t)
			lost.stop()
			lost.algod = newProxy(t, n.Algod)
			lost.start("SLNODE_TAXII_PUBLISH_WAIT=0s")
			lost.algod.set(cut, nil)
			lost.postNow(n.collection, indicators(0, 5)...)
			eventually(t, func() (bool, string) {
				p := lost.status().Publishing
				return p.Stored == 5, fmt.Sprintf("%+v", p)
			})
			lost.stop()
			s.backUp(lost) // without a daemon
			lost.algod.set(nil, nil)
			if published {
				lost.start()
				reader.shows(n.collection, indicators(0, 5)...)
			}

			s.loseAndRestore(lost)
			lost.recovers()
			eventually(t, func() (bool, string) {
				p := lost.status().Publishing
				return p.Problem == "" && p.Accepted+p.Stored+p.Signed == 0, fmt.Sprintf("%+v", p)
			})
			reader.shows(n.collection, indicators(0, 5)...)
			lost.shows(n.collection, indicators(0, 5)...)
			// The founder's membership, the default collection, bravo's admission and its keyring.
			lost.mintedOnce(5, 4)
		})
	}
}

// The records that a lost governor made after its backup are not made again: its transactions on the chain show by
// their leases what they were, even before their content is here.
func TestALostGovernorRepeatsNoRecord(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, development(t), "alpha", "bravo")
	governor := n.members[0]
	s := newSafe(t)
	s.backUp(governor)
	newcomer := organisationOn(t, n.blockchain, "charlie", enoughAlgo)
	n.admit(newcomer)
	newcomer.start()
	n.settled(newcomer)
	newcomer.post(n.collection, indicator(1))

	s.loseAndRestore(governor)
	governor.shows(n.collection, indicator(1))
	governor.recovers()
	eventually(t, func() (bool, string) {
		p := governor.status().Publishing
		return p.Problem == "" && p.Accepted+p.Stored+p.Signed == 0, fmt.Sprintf("%+v", p)
	})
	status := governor.postNow(n.collection, indicator(2))
	governor.complete(status.ID)
	newcomer.shows(n.collection, indicators(1, 2)...)
	// The governor's membership, the default collection, two admissions and two keyrings.
	governor.mintedOnce(1, 6)
}

// What was withdrawn after the backup is published anew when it is posted again, and what the lost node published anew
// already is not.
func TestWithdrawalsAfterTheBackupCount(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, development(t), "alpha", "bravo")
	reader, lost := n.members[0], n.members[1]
	s := newSafe(t)
	status := lost.post(n.collection, indicators(1, 2)...)
	s.backUp(lost)
	for _, published := range status.Successes {
		cliJSON[[]withdraw.Withdrawal](lost, "withdraw", published.TxID)
	}
	eventually(t, func() (bool, string) {
		list := lost.objects(n.collection)
		return len(list) == 0, fmt.Sprintf("%d objects are there", len(list))
	})
	lost.post(n.collection, indicator(1))
	reader.shows(n.collection, indicator(1))

	s.loseAndRestore(lost)
	lost.shows(n.collection, indicator(1))
	status = lost.postNow(n.collection, indicators(1, 2)...)
	lost.recovers()
	if status = lost.complete(status.ID); status.SuccessCount != 2 {
		t.Errorf("the status is %+v", status)
	}
	reader.shows(n.collection, indicators(1, 2)...)
	info := lost.consortium()
	if urls, _ := n.minted(t, lost.account(), info.ID); len(urls) != 4 {
		t.Errorf("%d NFTs were made for two objects that were both published twice", len(urls))
	}
}
