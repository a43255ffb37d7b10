package testnet

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/serviceledger/slnode/taxii"
)

// A reserve that no disk has is as good as a full disk.
const noRoom = "SLNODE_STORAGE_MIN_FREE=1000000000000000"

func TestANodeWithAFullDiskWaits(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	publisher, reader := n.members[0], n.members[1]
	reader.stop()
	reader.start(noRoom)
	publisher.post(n.collection, indicator(0))
	eventually(t, func() (bool, string) {
		s := reader.status()
		return s.Disk.Problem == "disk" && s.Publishing.Problem == "disk" && s.View.Waiting == 1 && s.View.Objects == 0, fmt.Sprintf("%+v", s)
	})
	publisher.stop()
	publisher.start(noRoom)
	_, err := publisher.tryPost(n.collection, indicator(1))
	var answer *taxii.ResponseError
	if !errors.As(err, &answer) || answer.Status != http.StatusInsufficientStorage {
		t.Errorf("the answer is %v", err)
	}
	publisher.shows(n.collection, indicator(0)) // it still reads

	for _, o := range n.members {
		o.stop()
		o.start()
	}
	reader.shows(n.collection, indicator(0))
	publisher.post(n.collection, indicator(1))
	reader.shows(n.collection, indicators(0, 2)...)
	if s := reader.status(); s.Disk.Problem != "" || s.Disk.Free == 0 {
		t.Errorf("the disk: %+v", s.Disk)
	}
}
