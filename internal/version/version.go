// Package version tells which program this is, by what the Go command wrote into it: a version that comes from git's
// tags, and the commit.
package version

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/serviceledger/slnode/internal/wire"
)

// Info is which program this is.
type Info struct {
	Version string `json:"version"`          // v1.2.3; between two tags Go's pseudo-version; devel without git
	Commit  string `json:"commit,omitempty"` // in full; empty if it was built without git
	Wire    int    `json:"wire"`             // the version of the format that members understand each other by
	Go      string `json:"go"`
}

// Current is the program that runs.
var Current = sync.OnceValue(func() Info {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		build = &debug.BuildInfo{GoVersion: runtime.Version()}
	}
	return of(build)
})

func of(build *debug.BuildInfo) Info {
	info := Info{Version: build.Main.Version, Wire: wire.Version, Go: build.GoVersion}
	for _, setting := range build.Settings {
		if setting.Key == "vcs.revision" {
			info.Commit = setting.Value
		}
	}
	if info.Version == "" || info.Version == "(devel)" {
		info.Version = "devel"
	}
	return info
}

// String is the version for people, on one line.
func (i Info) String() string {
	return fmt.Sprintf("%s, commit %s, wire version %d, %s", i.Version, cmp.Or(i.Commit, "unknown"), i.Wire, i.Go)
}

// UserAgent is how the node names itself to servers.
func UserAgent() string { return Current().userAgent() }

func (i Info) userAgent() string {
	return fmt.Sprintf("slnode/%s (commit %s; wire %d)", i.Version, cmp.Or(i.Commit, "unknown"), i.Wire)
}
