package health

import (
	"crypto/x509"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"gopkg.in/yaml.v3"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/node/feeds"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/sightings"
	"github.com/serviceledger/slnode/node/stages"
	"github.com/serviceledger/slnode/node/watch"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/repo"
)

// byPrometheus are labels that a node doesn't give.
var byPrometheus = map[string]bool{"instance": true, "job": true, "le": true}

// queries are those of the alerts and of the dashboard.
func queries(t *testing.T) (list []string) {
	t.Helper()
	var alerts struct {
		Groups []struct{ Rules []struct{ Expr string } }
	}
	text, err := os.ReadFile("../../docs/prometheus/alerts.yml")
	nodetest.Must(t, err)
	nodetest.Must(t, yaml.Unmarshal(text, &alerts))
	for _, group := range alerts.Groups {
		for _, rule := range group.Rules {
			list = append(list, rule.Expr)
		}
	}
	var board struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	text, err = os.ReadFile("../../docs/prometheus/dashboard.json")
	nodetest.Must(t, err)
	nodetest.Must(t, json.Unmarshal(text, &board))
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			list = append(list, target.Expr)
		}
	}
	return list
}

// exposed are the metrics of a node with something of everything, and the labels of each.
func exposed(t *testing.T) map[string]map[string]bool {
	t.Helper()
	o := newDisturbed(t)
	o.spends(3, 1)
	o.Requests = NewRequests()
	o.Requests.Served("GET", "/{root}", 200, time.Second)
	o.Stages.Passed(stages.Visible, stages.Own, time.Now())
	o.parts.feeds = []feeds.Info{{Name: "misp", Good: time.Now()}}
	o.parts.chain.Sources = append(o.parts.chain.Sources, chainwatch.SourceState{Name: "J", Answered: time.Now()})
	o.Opened(Doors{TAXII: "https://127.0.0.1:1", Certificate: someCertificate})
	nodetest.Must(t, repo.NoteBackup(o.R.Dir, repo.BackedUp{At: time.Now()}))
	text := o.scrape()
	// What the world of these tests can't bring about.
	e := Status{Webhooks: o.status().Webhooks}
	e.Webhooks[0].Condition = problem.Condition{Problem: "receiver"}
	e.Clock.Known = true
	e.Audit = []problem.Condition{{Problem: "writing"}, {Problem: "forwarding"}}
	e.Retention = &withdraw.Retention{Condition: problem.Condition{Problem: "funds"}}
	e.Sightings = &sightings.Sharing{Condition: problem.Condition{Problem: "funds"}}
	e.Watch = &watch.Status{Assets: 1}
	text += exposeAlso(e)
	found := map[string]map[string]bool{"up": {}}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, labels, labelled := strings.Cut(line, "{")
		if !labelled {
			name, _, _ = strings.Cut(line, " ")
			labels = ""
		}
		if found[name] == nil {
			found[name] = map[string]bool{}
		}
		for _, label := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(labels, -1) {
			found[name][label[1]] = true
		}
	}
	return found
}

// An alarm, or a panel, for a metric that is called otherwise shows for ever that all is well.
func TestTheAlertsAndTheDashboardAskForWhatIsExposed(t *testing.T) {
	known, asked := exposed(t), map[string]bool{}
	selector := regexp.MustCompile(`\b((?:slnode|go|process)_[a-z_0-9]+|up)\b(?:\{([^}]*)\})?`)
	for _, query := range queries(t) {
		list := selector.FindAllStringSubmatch(query, -1)
		if len(list) == 0 {
			t.Errorf("%s asks for nothing", query)
		}
		for _, one := range list {
			asked[one[1]] = true
			if known[one[1]] == nil {
				t.Errorf("%s: there is no metric %s", query, one[1])
				continue
			}
			for _, label := range regexp.MustCompile(`([a-z_]+)(?:=|!=|=~|!~)"`).FindAllStringSubmatch(one[2], -1) {
				if !known[one[1]][label[1]] && !byPrometheus[label[1]] {
					t.Errorf("%s: %s has no label %s", query, one[1], label[1])
				}
			}
		}
		for _, by := range regexp.MustCompile(`by \(([^)]*)\)`).FindAllStringSubmatch(query, -1) {
			for label := range strings.SplitSeq(by[1], ", ") {
				if !known[list[0][1]][label] && !byPrometheus[label] {
					t.Errorf("%s: %s has no label %s", query, list[0][1], label)
				}
			}
		}
	}
	for name := range known {
		name = strings.TrimSuffix(strings.TrimSuffix(name, "_count"), "_sum")
		if strings.HasPrefix(name, "slnode_") && !asked[name] && !asked[name+"_bucket"] {
			t.Errorf("nobody looks at %s", name)
		}
	}
}

func someCertificate() *x509.Certificate { return &x509.Certificate{NotAfter: time.Now()} }

// exposeAlso gives the metrics of a status that are about what is outside.
func exposeAlso(s Status) string {
	out := make(chan prometheus.Metric, 100)
	e := exposition{out: out, now: time.Now()}
	e.outside(s)
	e.chain(s)
	e.unasked(s)
	close(out)
	var text strings.Builder
	for one := range out {
		var metric dto.Metric
		if one.Write(&metric) == nil {
			name := regexp.MustCompile(`fqName: "([a-z_]+)"`).FindStringSubmatch(one.Desc().String())[1]
			text.WriteString(name + "{")
			for _, label := range metric.Label {
				text.WriteString(label.GetName() + `="` + label.GetValue() + `",`)
			}
			text.WriteString("} 1\n")
		}
	}
	return text.String()
}
