package node

import (
	"log/slog"

	"github.com/serviceledger/slnode/repo/config"
)

// Reload reads the configuration again, and the files of the certificate for TAXII clients. Of the configuration it
// takes the log's level, which it returns; it says what else is another than at the start, and counts from the next one
// only. It may be called once the node is ready. A configuration that can't be used changes nothing.
func (n *Node) Reload() (level string) {
	now := n.repo.Config
	now.Feeds = n.feeds.Configs() // which come and go while the node runs
	next, err := config.Read(n.repo.Dir)
	if err != nil {
		n.log.Error("the configuration can't be read again; everything stays as it is", "error", err)
		return ""
	}
	level, next.Log.Level = next.Log.Level, now.Log.Level
	switch {
	case n.tlsFiles != nil:
		if err := n.tlsFiles.Reload(); err != nil {
			n.log.Error("the certificate for TAXII clients can't be read again; the old one is used", "error", err)
		}
	case n.certificate != nil:
		n.certificate.Again.Notify() // somebody may have mended what kept the authority from giving one
	}
	attrs := []any{slog.String("log_level", level)}
	if waiting := now.Differences(next); len(waiting) > 0 {
		n.log.Warn("the configuration was read again; some of it counts from the next start only", append(attrs, slog.Any("keys", waiting))...)
	} else {
		n.log.Info("the configuration was read again", attrs...)
	}
	return level
}
