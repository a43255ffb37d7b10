package config

import (
	"net"
	"net/http"
	"net/netip"
)

// Console is what browsers are shown.
type Console struct {
	Hosts    []string `toml:"hosts"` // by which browsers may call this node
	Enabled  bool     `toml:"enabled"`
	Origins  []string `toml:"origins"`  // further ones whose forms are taken, as "https://name"
	Insecure bool     `toml:"insecure"` // also where all goes over the network in the clear
}

// InTheClear tells whether passwords that browsers send to the TAXII server could be read on the network, as far as can
// be told.
func (c Config) InTheClear() bool {
	if c.TAXII.TLS != TLSOff || len(c.TAXII.TrustedProxies) > 0 || c.Console.Insecure {
		return false
	}
	host, _, err := net.SplitHostPort(c.TAXII.Listen)
	if err != nil || host == "localhost" {
		return err != nil
	}
	address, err := netip.ParseAddr(host)
	return err != nil || !address.Unmap().IsLoopback()
}

func checkOrigins(list []string) error {
	protection := http.NewCrossOriginProtection()
	for _, origin := range list {
		if err := protection.AddTrustedOrigin(origin); err != nil {
			return err
		}
	}
	return nil
}
