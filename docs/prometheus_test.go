package docs_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// alerts is docs/prometheus/alerts.yml, whose form Prometheus has.
type alerts struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []struct {
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			For         string            `yaml:"for"`
			Labels      map[string]string `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

func TestEveryAlertSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	decoder := yaml.NewDecoder(must[*os.File](t)(os.Open("prometheus/alerts.yml")))
	decoder.KnownFields(true)
	var list alerts
	if err := decoder.Decode(&list); err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile(`^[A-Z][A-Za-z]+$`)
	seen := map[string]bool{}
	for _, group := range list.Groups {
		for _, rule := range group.Rules {
			severity := rule.Labels["severity"]
			switch {
			case !commands.MatchString(rule.Alert) || seen[rule.Alert]:
				t.Errorf("%q is no name, or one that is there twice", rule.Alert)
			case rule.Expr == "" || rule.For == "" || severity != "warning" && severity != "critical":
				t.Errorf("%s: %+v", rule.Alert, rule)
			case rule.Annotations["summary"] == "" || rule.Annotations["description"] == "":
				t.Errorf("%s does not say what is wrong, or what to do", rule.Alert)
			}
			seen[rule.Alert] = true
		}
	}
	if len(seen) < 25 {
		t.Errorf("there are %d alerts", len(seen))
	}
}

// promtool runs Prometheus' own checker, which CI installs.
func promtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed; Debian has it in the package prometheus")
	}
	command := exec.CommandContext(t.Context(), path, args...)
	command.Dir = dir
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPrometheusTakesTheAlertsAndTheyRingWhenTheyAreTo(t *testing.T) {
	promtool(t, "prometheus", "check", "rules", "--lint-fatal", "alerts.yml")
	promtool(t, "prometheus", "test", "rules", "alerts_test.yml")
}

func TestPrometheusTakesTheQueriesOfTheDashboard(t *testing.T) {
	type rule struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	type group struct {
		Name  string `yaml:"name"`
		Rules []rule `yaml:"rules"`
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(must[[]byte](t)(os.ReadFile("prometheus/dashboard.json")), &board); err != nil {
		t.Fatal(err)
	}
	queries := group{Name: "dashboard"}
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			name := "query_" + string(rune('a'+len(queries.Rules)/26)) + string(rune('a'+len(queries.Rules)%26))
			queries.Rules = append(queries.Rules, rule{name, target.Expr})
		}
	}
	if len(queries.Rules) < 30 {
		t.Errorf("there are %d queries", len(queries.Rules))
	}
	text := must[[]byte](t)(yaml.Marshal(map[string]any{"groups": []group{queries}}))
	path := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, ".", "check", "rules", "--lint-fatal", path)
}
