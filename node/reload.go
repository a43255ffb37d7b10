package node

import (
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/repo/config"
)

// newReloader takes over what can change while the node runs.
func (n *Node) newReloader() *control.Reloader {
	return &control.Reloader{
		Dir: n.repo.Dir, Counts: n.repo.Config, Feeds: n.feeds.Configs, Certificate: n.reloadCertificate, Log: n.log,
		Parts: []control.Part{
			{Name: "feeds", Apply: func(c config.Config) error { return n.feeds.Reload(c.Feeds) }, Take: func(now *config.Config, c config.Config) { now.Feeds = c.Feeds }},
			{Name: "webhooks", Apply: func(c config.Config) error { return n.webhooks.Reload(c.Webhooks) }, Take: func(now *config.Config, c config.Config) { now.Webhooks = c.Webhooks }},
			{Name: "quality", Apply: n.appraiser.Reload, Take: func(now *config.Config, c config.Config) { now.Decay, now.Quality = c.Decay, c.Quality }},
			{Name: "limits", Apply: n.limit, Take: func(now *config.Config, c config.Config) {
				now.TAXII.RateLimit, now.Storage.MinFree, now.Limits, now.Publish.Reserve = c.TAXII.RateLimit, c.Storage.MinFree, c.Limits, c.Publish.Reserve
				now.Retention, now.Sightings = c.Retention, c.Sightings
			}},
		},
	}
}

func (n *Node) limit(c config.Config) error {
	n.protocol.SetRateLimit(int(c.TAXII.RateLimit))
	n.disk.Keep(uint64(c.Storage.MinFree))
	n.terms.Set(c)
	n.retainer.Set(c)
	n.sightings.Set(c)
	n.outbox.Stored.Notify() // what waits may be allowed now
	return nil
}

func (n *Node) reloadCertificate() {
	if n.tlsFiles != nil {
		if err := n.tlsFiles.Reload(); err != nil {
			n.log.Error("the certificate for TAXII clients can't be read again; the old one is used", "error", err)
		}
	} else if n.certificate != nil {
		n.certificate.Again.Notify() // somebody may have mended what kept the authority from giving one
	}
}

// Reload reads the configuration again. It may be called once the node is ready. It returns the level of the log.
func (n *Node) Reload() (level string) { return n.reloader.Reload() }
