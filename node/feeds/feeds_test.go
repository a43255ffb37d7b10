package feeds

import (
	"testing"

	"github.com/serviceledger/slnode/internal/feed"
	"github.com/serviceledger/slnode/repo/config"
)

func TestTheStatusNamesTheFeedsWhoseLastRunEndedEarly(t *testing.T) {
	f := &Feeds{list: []*nodeFeed{
		{config: config.Feed{Name: "never-ran"}},
		{config: config.Feed{Name: "works"}, last: &feed.Report{New: 3}},
		{config: config.Feed{Name: "fails"}, last: &feed.Report{Problem: "the server answered 502"}},
	}}
	if list := f.Problems(); len(list) != 1 || list[0].Name != "fails" || list[0].Problem != "the server answered 502" {
		t.Errorf("%+v", list)
	}
}
