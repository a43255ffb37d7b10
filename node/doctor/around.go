package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/crypto"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/certs"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/health"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
)

const (
	maxLooked   = 20_000 // files whose owner is looked at
	maxStrange  = 3      // that are named
	oldBackup   = 30 * 24 * time.Hour
	fewObjects  = 20 // NFTs that the money is enough for
	dialTimeout = 4 * time.Second
)

// ownership looks whether all of a repository is its owner's, and nobody else's to read.
func ownership(dir string) []Finding {
	info, err := os.Stat(dir)
	if err != nil {
		return []Finding{{"files", Wrong, err.Error(), ""}}
	}
	owner, looked, strange := ownerOf(info), 0, []string{}
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if looked++; looked > maxLooked || len(strange) > maxStrange {
			return fs.SkipAll
		}
		if errors.Is(err, fs.ErrNotExist) { // the daemon works with them
			return nil
		}
		if err != nil {
			return err
		}
		if info, err := entry.Info(); err == nil && ownerOf(info) != owner {
			strange = append(strange, path)
		}
		return nil
	})
	switch {
	case err != nil:
		return []Finding{{"files", Wrong, err.Error(), "run this as the user whose repository it is"}}
	case len(strange) > 0:
		return []Finding{{"files", Wrong, fmt.Sprintf("%s belong to another user than %s", strings.Join(strange[:min(len(strange), maxStrange)], ", "), dir),
			fmt.Sprintf("the daemon fails at them: chown -R --reference=%s %s", dir, dir)}}
	case info.Mode().Perm()&0o077 != 0:
		return []Finding{{"files", Warning, fmt.Sprintf("%s can be entered by others (%s)", dir, info.Mode().Perm()), "chmod 700 " + dir}}
	}
	return []Finding{{"files", OK, "all are of one user, and closed to others", ""}}
}

func ownerOf(info fs.FileInfo) uint32 {
	if stat, is := info.Sys().(*syscall.Stat_t); is {
		return stat.Uid
	}
	return 0
}

// port looks whether other members' nodes can reach this one.
func (p *patient) port(ctx context.Context) []Finding {
	remedy := "let TCP to the ports of ipfs.listen through the firewall and the router, and set ipfs.announce to the address at which members reach it"
	if inbound := slices.IndexFunc(p.status.Peers, func(peer health.PeerStatus) bool { return peer.Inbound }); inbound >= 0 {
		return []Finding{{"port", OK, fmt.Sprintf("%s has connected to this node", p.status.Peers[inbound].Member), ""}}
	}
	if p.status.Daemon.Hangs {
		return []Finding{{"port", Unknown, "whether members can reach it shows when the daemon answers", ""}}
	}
	if !p.status.Daemon.Running {
		if err := swarm.CheckFree(p.config.IPFS.Listen); err != nil {
			return []Finding{{"port", Wrong, problem.Listening(err).Error(), "correct ipfs.listen, or end what has the port"}}
		}
		return []Finding{{"port", Unknown, "it is free; whether members can reach it shows when the daemon runs", ""}}
	}
	var failed []string
	for _, address := range p.config.IPFS.Announce {
		if err := swarm.Dial(ctx, address, dialTimeout); err != nil {
			failed = append(failed, fmt.Sprintf("%s: %s", address, err))
		}
	}
	switch {
	case len(failed) > 0:
		return []Finding{{"port", Warning, "no member has connected to this node yet, and from here it can't be reached at " + strings.Join(failed, "; "),
			remedy + ". Some routers refuse this from inside only: ask a member to try"}}
	case len(p.config.IPFS.Announce) > 0:
		return []Finding{{"port", OK, "no member has connected to this node yet, and from here it can be reached at " + strings.Join(p.config.IPFS.Announce, ", "), ""}}
	case p.status.Members.Known == 0:
		return []Finding{{"port", Unknown, "there is no other member who could connect to it", ""}}
	}
	return []Finding{{"port", Warning, "no member has connected to this node yet", remedy}}
}

// ports looks whether the daemon could listen where clients are to reach it, if it doesn't run.
func (p *patient) ports(context.Context) (list []Finding) {
	if p.status.Daemon.Running || p.status.Daemon.Hangs {
		return nil
	}
	addresses := []struct{ key, address string }{
		{"taxii.listen", p.config.TAXII.Listen}, {"ipfs.gateway", p.config.IPFS.Gateway}, {"metrics.listen", p.config.Metrics.Listen},
	}
	if p.config.TAXII.TLS == config.TLSACME {
		addresses = append(addresses, struct{ key, address string }{"taxii.acme_listen", p.config.TAXII.ACMEListen})
	}
	for _, a := range addresses {
		if err := control.CheckFree(a.address); err != nil {
			list = append(list, Finding{"port", Wrong, a.key + ": " + err.Error(), "correct " + a.key + ", or end what has the port"})
		}
	}
	return list
}

// keysOf looks whether the keys can be read, as far as that shows without their passphrase.
func keysOf(dir string) []Finding {
	sealed, err := repo.KeysSealed(dir)
	if err == nil && !sealed {
		_, err = repo.ReadKeys(dir, nil)
	}
	switch {
	case err != nil:
		return []Finding{{"keys", Wrong, err.Error(), "docs/OPERATIONS.md, \"Backup\", says what each file is, and what becomes of the node without it"}}
	case sealed:
		return []Finding{{"keys", OK, "they are sealed with a passphrase", ""}}
	}
	return []Finding{{"keys", OK, "they are all there, and closed to others", ""}}
}

func (p *patient) certificate(context.Context) []Finding {
	c := p.config.TAXII
	if c.TLS == config.TLSOff {
		if address, err := netip.ParseAddrPort(c.Listen); err == nil && address.Addr().Unmap().IsLoopback() || strings.HasPrefix(c.Listen, "localhost:") {
			return []Finding{{"https", OK, "TAXII is served on this machine only, in the clear", ""}}
		}
		return []Finding{{"https", Wrong, "TAXII is served in the clear on " + c.Listen + ": passwords, tokens and intelligence can be read on the network",
			"set taxii.tls, or listen on 127.0.0.1 and put a proxy before it"}}
	}
	list := []Finding{}
	if needed := certs.SaferGo(runtime.Version()); needed != "" {
		list = append(list, Finding{"https", Warning, fmt.Sprintf("this program was built with %s, whose HTTP/2 has known holes", runtime.Version()),
			"build it with " + needed + " or later, or put a proxy before it"})
	}
	shown, err := certs.Find(p.config, p.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return append(list, Finding{"https", Warning, "there is no certificate yet", "the daemon makes it or asks for it; \"slnode status\" says what keeps it from that"})
	case err != nil:
		return append(list, Finding{"https", Wrong, err.Error(), "correct taxii.tls_certificate and taxii.tls_key, or the files that they name"})
	}
	return append(list, ending(shown, time.Now()))
}

// ending says how long a certificate is good for.
func ending(c *x509.Certificate, now time.Time) Finding {
	until := c.NotAfter.Format(time.DateOnly)
	ends, ended := certs.Ending(c, now)
	switch {
	case ended:
		return Finding{"https", Wrong, "the certificate has ended on " + until, "renew it: docs/OPERATIONS.md, \"HTTPS\""}
	case now.Before(c.NotBefore):
		return Finding{"https", Wrong, "the certificate is good from " + c.NotBefore.Format(time.DateOnly) + " on only", "is this machine's clock right?"}
	case ends:
		return Finding{"https", Warning, "the certificate ends on " + until, "renew it: docs/OPERATIONS.md, \"HTTPS\""}
	}
	return Finding{"https", OK, "the certificate is good until " + until, ""}
}

func (p *patient) disk(context.Context) []Finding {
	free, err := problem.FreeSpace(p.dir)
	least := uint64(p.config.Storage.MinFree)
	switch says := fmt.Sprintf("%d MiB are free", free>>20); {
	case err != nil:
		return []Finding{{"disk", Wrong, err.Error(), ""}}
	case free < least:
		return []Finding{{"disk", Wrong, fmt.Sprintf("%s, and storage.min_free is %d MiB: nothing is taken in", says, least>>20), "make room"}}
	case free < 4*least:
		return []Finding{{"disk", Warning, fmt.Sprintf("%s; below %d MiB nothing is taken in", says, least>>20), "make room"}}
	default:
		return []Finding{{"disk", OK, says, ""}}
	}
}

// money asks for the account, of the daemon if it runs, or by the keys if they are not sealed.
func (p *patient) money(ctx context.Context) []Finding {
	account, free, kept, err := p.funds(ctx)
	if err != nil {
		return []Finding{{"money", Unknown, err.Error(), ""}}
	}
	free -= min(free, kept)
	enough := free / ledger.Cost(1, ledger.LowestFee)
	says := fmt.Sprintf("%s ALGO can be spent, enough for %d NFTs", microalgo.Amount(free), enough)
	if kept > 0 {
		says += fmt.Sprintf(", and %s ALGO is kept back for records and withdrawals", microalgo.Amount(kept))
	}
	remedy := "send ALGO to " + account
	switch {
	case enough == 0:
		return []Finding{{"money", Wrong, says + ": nothing can be published", remedy}}
	case enough < fewObjects:
		return []Finding{{"money", Warning, says, remedy}}
	}
	return []Finding{{"money", OK, says, ""}}
}

// funds gives what is free, in microalgo, and how much of that objects leave.
func (p *patient) funds(ctx context.Context) (account string, free, kept uint64, err error) {
	if s := p.status.Publishing; p.status.Daemon.Running {
		if s.Funds != "" {
			return "", 0, 0, errors.New(s.Funds)
		}
		return s.Account, s.Free, s.Reserved, nil
	}
	sealed, err := repo.KeysSealed(p.dir)
	if err != nil {
		return "", 0, 0, err
	}
	if sealed {
		return "", 0, 0, errors.New("the keys are sealed, and the daemon doesn't run: \"slnode wallet\" asks for their passphrase")
	}
	keys, err := repo.ReadKeys(p.dir, nil)
	if err != nil {
		return "", 0, 0, err
	}
	client, err := algorand.NewAlgod(p.config.Algorand.AlgodURL, p.config.Algorand.AlgodToken, p.config.Algorand.AlgodTokenHeader)
	if err != nil {
		return "", 0, 0, err
	}
	funds, err := ledger.New(client, crypto.Account{}, p.config.Algorand.MaxFee).FundsOf(ctx, keys.Address())
	return keys.Address(), funds.Free(), uint64(p.config.Publish.Reserve), err
}

func (p *patient) backup(context.Context) []Finding {
	remedy := "\"slnode backup\", regularly, and keep it elsewhere: without one, keys and accounts are lost with the disk"
	switch last, err := repo.LastBackup(p.dir); {
	case err != nil:
		return []Finding{{"backup", Unknown, err.Error(), ""}}
	case last == nil:
		return []Finding{{"backup", Warning, "none was made on this machine", remedy}}
	case time.Since(last.At) > oldBackup:
		return []Finding{{"backup", Warning, "the last one is of " + last.At.Format(time.DateOnly), remedy}}
	default:
		return []Finding{{"backup", OK, "the last one is of " + last.At.Format(time.DateOnly), ""}}
	}
}
