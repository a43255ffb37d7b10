package config

import (
	"errors"
	"fmt"
	"net"
)

// checkApart names the addresses to listen on that are two keys': the second one could not be taken.
func (c *Config) checkApart() error {
	var wrong []error
	keys := map[string]string{}
	for _, one := range []struct{ key, address string }{
		{"taxii.listen", c.TAXII.Listen}, {"taxii.acme_listen", c.TAXII.ACMEListen}, {"ipfs.gateway", c.IPFS.Gateway}, {"metrics.listen", c.Metrics.Listen},
	} {
		_, port, err := net.SplitHostPort(one.address)
		if err != nil || port == "0" {
			continue
		}
		if first, taken := keys[one.address]; taken {
			wrong = append(wrong, fmt.Errorf("%s: %s is taken by %s; each needs a port of its own", one.key, one.address, first))
			continue
		}
		keys[one.address] = one.key
	}
	return errors.Join(wrong...)
}
