package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/serviceledger/slnode/internal/certs"
	"github.com/serviceledger/slnode/node/feeds"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/repo/config"
)

// CheckConfig looks whether a node could start with a configuration file, whose relative paths begin in dir. It asks
// nobody: the node need not have been started ever, and this machine may have no network.
func CheckConfig(path, dir string) []Finding {
	_, findings := checkConfig(path, dir)
	return findings
}

// checkConfig also gives the configuration; nil if it can't be read.
func checkConfig(path, dir string) (*config.Config, []Finding) {
	c, err := config.Load(path, os.Environ())
	if err != nil {
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
			return nil, []Finding{{"config", Wrong, err.Error(), "it is no mistake in the file: see what is said of it, or put it back from a backup"}}
		}
		var list []Finding
		for line := range strings.SplitSeq(err.Error(), "\n") {
			list = append(list, Finding{"config", Wrong, line, "correct it; docs/OPERATIONS.md, \"Configuration\", and the comments in config.toml say what can stand there"})
		}
		return nil, list
	}
	var list []Finding
	wrong := func(key string, err error) {
		if err != nil {
			list = append(list, Finding{"config", Wrong, fmt.Sprintf("%s: %s", key, err), "correct " + key + " in " + path})
		}
	}
	wrong("ipfs.listen", swarm.CheckAddresses(c.IPFS.Listen))
	wrong("ipfs.announce", swarm.CheckAddresses(c.IPFS.Announce))
	_, err = state.ReadMarkings(c.TLP.Markings)
	wrong("tlp.markings", err)
	if c.TAXII.TLS == config.TLSFiles {
		_, err := certs.Find(c, dir)
		wrong("taxii.tls_certificate", err)
	}
	for _, hook := range c.Webhooks {
		_, err := hook.Key()
		wrong("the secret of webhook "+hook.Name, err)
	}
	for _, feed := range c.Feeds {
		wrong("the credentials of feed "+feed.Name, feeds.CheckCredentials(feed))
	}
	if over := config.Overridden(os.Environ()); len(over) > 0 {
		list = append(list, Finding{"config", OK, "the environment overrides " + strings.Join(over, ", "), ""})
	}
	if len(list) == 0 || list[len(list)-1].Level == OK && len(list) == 1 {
		list = append(list, Finding{"config", OK, path + " can be used", ""})
	}
	return &c, list
}

// Count tells how many findings are of a level.
func Count(list []Finding, level Level) (n int) {
	for _, f := range list {
		if f.Level == level {
			n++
		}
	}
	return n
}
