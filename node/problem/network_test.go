package problem

import (
	"strings"
	"testing"
)

func TestTwoNetworksOfOneNameAreToldApart(t *testing.T) {
	t.Parallel()
	ours, theirs := []byte("aaaa"), []byte("bbbb")
	for name, c := range map[string]struct {
		id   string
		hash []byte
		says string
	}{
		"ours":             {"net-v1", ours, ""},
		"another":          {"main-v1", theirs, "algod is of the network main-v1, the consortium lives on net-v1"},
		"of the same name": {"net-v1", theirs, "of the one is 62626262…, of the other 61616161…"},
	} {
		if got := OtherNetwork(c.id, c.hash, "net-v1", ours); !strings.Contains(got, c.says) || (got == "") != (c.says == "") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestAnotherNetworkIsAnErrorAndTheSameIsNone(t *testing.T) {
	if err := CheckNetwork("net-v1", []byte{1}, "net-v1", []byte{1}); err != nil {
		t.Error(err)
	}
	if err := CheckNetwork("net-v1", []byte{1}, "net-v1", []byte{2}); err == nil || err.Error() != OtherNetwork("net-v1", []byte{1}, "net-v1", []byte{2}) {
		t.Error(err)
	}
}
