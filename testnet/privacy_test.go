package testnet

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"testing"

	"github.com/google/uuid"
)

// scoNamespace is the namespace of the deterministic ids of STIX observables (STIX 2.1, section 2.9).
var scoNamespace = uuid.MustParse("00abedb4-aa42-466c-9c01-fed23315a9b7")

// address is a STIX observable whose id is a hash of its value.
func address(ip netip.Addr) (id, object string) {
	id = "ipv4-addr--" + uuid.NewSHA1(scoNamespace, fmt.Appendf(nil, `{"value":%q}`, ip)).String()
	return id, fmt.Sprintf(`{"type":"ipv4-addr","spec_version":"2.1","id":%q,"value":%q}`, id, ip)
}

// An outsider sees every transaction of the chain and, with the swarm key, every directory. All addresses of a network
// are not many: it can compute the id of each, and look for it.
func TestADictionaryOfAddressesFindsNoneOfThePublished(t *testing.T) {
	t.Parallel()
	l := newChain(t)
	n := newNetwork(t, l, "alpha", "bravo")
	var published []string
	var dictionary []netip.Addr
	for ip := netip.MustParseAddr("198.51.96.0"); len(dictionary) < 4096; ip = ip.Next() {
		dictionary = append(dictionary, ip)
	}
	for i := 7; i < len(dictionary); i += 500 {
		_, object := address(dictionary[i])
		published = append(published, object)
	}
	status := n.members[0].post(n.collection, published...)
	n.members[1].shows(n.collection, published...)

	var seen []byte // by the outsider
	first, last := uint64(0), uint64(0)
	for _, detail := range status.Successes {
		round := l.event(t, detail.TxID).Round
		if first == 0 || round < first {
			first = round
		}
		last = max(last, round)
		for _, name := range []string{"metadata.json", "object.json"} {
			response, err := http.Get("http://" + n.members[1].Daemon.Gateway + "/ipfs/" + detail.CID + "/" + name)
			must(t, err)
			data, err := io.ReadAll(response.Body)
			must(t, err)
			response.Body.Close()
			if response.StatusCode != http.StatusOK || len(data) == 0 {
				t.Fatalf("%s of %s: %s", name, detail.CID, response.Status)
			}
			seen = append(seen, data...)
		}
	}
	seen = append(seen, rawBlocks(t, l, first, last)...)

	finds := func(in []byte, ip netip.Addr) bool {
		id, object := address(ip)
		u := uuid.MustParse(id[len("ipv4-addr--"):])
		for _, text := range []string{id, fmt.Sprintf("%q", ip), object} { // 198.51.96.7 begins others
			sum := sha256.Sum256([]byte(text))
			for _, form := range [][]byte{[]byte(text), sum[:], []byte(hex.EncodeToString(sum[:])), []byte(base64.StdEncoding.EncodeToString(sum[:]))} {
				if bytes.Contains(in, form) {
					return true
				}
			}
		}
		return bytes.Contains(in, u[:]) || bytes.Contains(in, []byte(u.String()))
	}
	_, _, served := n.members[1].get("/bravo/collections/" + n.collection + "/objects/")
	control := 0
	for _, ip := range dictionary {
		if finds(seen, ip) {
			t.Errorf("an outsider finds %s", ip)
		}
		if finds([]byte(served), ip) {
			control++
		}
	}
	if control != len(published) {
		t.Errorf("where the objects are in clear the dictionary finds %d of %d: the search proves nothing", control, len(published))
	}
}
