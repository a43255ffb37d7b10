package config

import (
	"strings"
	"testing"
)

func TestTwoThatListenNeedAPortEach(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		taxii, gateway, metrics, says string
	}{
		"each its own":     {"127.0.0.1:9440", "127.0.0.1:9441", "127.0.0.1:9442", ""},
		"any":              {"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", ""},
		"none":             {"127.0.0.1:9440", "", "", ""},
		"other addresses":  {"127.0.0.1:9440", "192.0.2.1:9440", "", ""},
		"one for two":      {"127.0.0.1:9440", "127.0.0.1:9440", "", "ipfs.gateway: 127.0.0.1:9440 is taken by taxii.listen"},
		"the last of them": {"127.0.0.1:9440", "127.0.0.1:9441", "127.0.0.1:9441", "metrics.listen: 127.0.0.1:9441 is taken by ipfs.gateway"},
	} {
		config := Default()
		config.Organisation.Name, config.TAXII.Listen, config.IPFS.Gateway, config.Metrics.Listen = "acme", c.taxii, c.gateway, c.metrics
		config.Algorand.AlgodURL, config.Algorand.IndexerURL = "http://127.0.0.1:4001", "http://127.0.0.1:8980"
		err := config.Validate()
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
