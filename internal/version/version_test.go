package version

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestAProgramIsNamedByItsTagCommitAndWireVersion(t *testing.T) {
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "4507eca1b2c34507eca1b2c34507eca1b2c34507"}
	other := debug.BuildSetting{Key: "vcs.time", Value: "2026-11-30T02:32:31Z"}
	for name, c := range map[string]struct {
		build       debug.BuildInfo
		text, agent string
	}{
		"a tag": {
			debug.BuildInfo{GoVersion: "go1.26.10", Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{other, commit}},
			"v1.2.3, commit 4507eca1b2c34507eca1b2c34507eca1b2c34507, wire version 1, go1.26.10",
			"slnode/v1.2.3 (commit 4507eca1b2c34507eca1b2c34507eca1b2c34507; wire 1)",
		},
		"no git": {
			debug.BuildInfo{GoVersion: "go1.26.10", Main: debug.Module{Version: "(devel)"}},
			"devel, commit unknown, wire version 1, go1.26.10", "slnode/devel (commit unknown; wire 1)",
		},
		"a test": {
			debug.BuildInfo{GoVersion: "go1.26.10"},
			"devel, commit unknown, wire version 1, go1.26.10", "slnode/devel (commit unknown; wire 1)",
		},
	} {
		info := of(&c.build)
		if info.String() != c.text || info.userAgent() != c.agent {
			t.Errorf("%s: %q and %q", name, info, info.userAgent())
		}
	}
	if current := Current(); current.Go != runtime.Version() || current.Version == "" {
		t.Errorf("this program is %+v", current)
	}
}
