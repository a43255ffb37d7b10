package auditlog

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/repo/auditlog"
)

func TestAReceiverThatIsAwayIsTroubleUntilItIsBack(t *testing.T) {
	o := newOffice(t)
	socket := filepath.Join(t.TempDir(), "s")
	stop := o.forwards("syslog://"+socket, nil)
	defer stop()
	o.publishes("one")
	waiting.Until(t, "it is told", func() bool {
		list := o.trail.Troubles()
		return len(list) == 1 && list[0].Problem == "forwarding" && strings.Contains(list[0].Detail, "taxii.audit_forward") && !list[0].Since.IsZero()
	})
	receiver := gram(t, socket)
	nextGram(t, receiver)
	waiting.Until(t, "it is well again", func() bool { return len(o.trail.Troubles()) == 0 })
}

// The log can't be locked, and so not written, while its folder is away.
func TestRecordsThatAreLostAreTroubleUntilSomeAreWrittenAgain(t *testing.T) {
	dir := t.TempDir()
	log, err := auditlog.Open(auditlog.Path(dir), 1<<20, 4, time.Now)
	nodetest.Must(t, err)
	o := &office{t, &Trail{log: log, dir: dir}, dir}
	var told atomic.Int32 // also by what waits for the disk
	o.trail.Watch(func(error) { told.Add(1) })
	o.publishes("one")
	if list := o.trail.Troubles(); len(list) != 0 {
		t.Fatalf("while all is well: %+v", list)
	}
	aside := auditlog.Path(dir) + ".aside"
	nodetest.Must(t, os.Rename(auditlog.Path(dir), aside))
	o.publishes("two")
	o.publishes("three")
	list := o.trail.Troubles()
	if len(list) != 1 || list[0].Problem != "writing" || list[0].Detail == "" || told.Load() < 2 {
		t.Errorf("without the folder: %+v, told %d times", list, told.Load())
	}
	nodetest.Must(t, os.Rename(aside, auditlog.Path(dir)))
	o.publishes("four")
	if list := o.trail.Troubles(); len(list) != 0 {
		t.Errorf("with the folder again: %+v", list)
	}
	nodetest.Must(t, log.Close())
}
