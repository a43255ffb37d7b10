package appraisal

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/warnlist"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/taxii"
)

// ListsPath is the folder of a repository in which an organisation keeps warning lists of its own.
func ListsPath(dir string) string { return filepath.Join(dir, "warninglists") }

// lookAgain is how often the folder is looked at, while lists are used.
const lookAgain = 10 * time.Second

// Lists are the warning lists of a node: those that come with the program, what the configuration calls this
// organisation's own, what members call benign whom it names, and those of the repository's folder, which are read
// again when they change.
type Lists struct {
	Log        *slog.Logger
	Consortium consortium // tells what members call benign; nil: nobody is asked
	dir        string
	now        func() time.Time

	mu      sync.Mutex
	own     []warnlist.Source
	builtin []warnlist.Source
	said    said
	looked  time.Time
	stamp   warnlist.Stamp
	wrong   []error // with the folder

	all  *warnlist.Lists // nil: to be made
	hard *warnlist.Lists
}

// OpenLists opens the lists of a repository in a folder, and reads none before they are needed.
func OpenLists(dir string, c config.Config, log *slog.Logger) *Lists {
	l := &Lists{dir: ListsPath(dir), now: time.Now, Log: log}
	l.configure(c)
	return l
}

// configure takes over what the configuration calls this organisation's own.
func (l *Lists) configure(c config.Config) {
	own := func(id, name, kind string, values []string) warnlist.Source {
		return warnlist.Source{List: warnlist.List{ID: id, Name: name, Class: warnlist.Hard, Type: kind, Date: "the configuration"}, Values: values}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.own = nil
	if values := c.Quality.OwnNetworks; len(values) > 0 {
		l.own = append(l.own, own("own-networks", "This organisation's own networks (quality.own_networks)", warnlist.CIDR, values))
	}
	if values := c.Quality.OwnDomains; len(values) > 0 {
		l.own = append(l.own, own("own-domains", "This organisation's own domains (quality.own_domains)", warnlist.Hostname, values))
	}
	if from := c.Quality.BenignFrom; !slices.Equal(from, l.said.from) {
		l.said = said{from: slices.Clone(from)}
	}
	l.all, l.hard = nil, nil
}

// refresh reads the folder if it has changed, and makes the lists findable. The caller holds the mutex.
func (l *Lists) refresh() error {
	if now := l.now(); l.looked.IsZero() || now.Sub(l.looked) >= lookAgain || now.Before(l.looked) {
		stamp, err := warnlist.StampOf(l.dir)
		if err != nil {
			return err
		}
		if l.looked = now; stamp != l.stamp {
			l.stamp, l.all, l.hard = stamp, nil, nil
		}
	}
	if others, err := l.listen(); err != nil {
		return err
	} else if others {
		l.all, l.hard = nil, nil
	}
	if l.all != nil {
		return nil
	}
	if l.builtin == nil {
		var err error
		if l.builtin, err = warnlist.Builtin(); err != nil {
			return err
		}
	}
	folder, wrong, err := warnlist.ReadFolder(l.dir)
	if err != nil { // the others are as good as before
		wrong = append(wrong, err)
	}
	for _, err := range wrong {
		l.Log.Warn("a warning list can't be used", "error", err)
	}
	sources := slices.Concat(l.own, folder, l.said.sources, l.builtin)
	l.wrong, l.all = wrong, warnlist.New(sources)
	l.hard = warnlist.New(slices.DeleteFunc(sources, func(s warnlist.Source) bool { return s.Class != warnlist.Hard }))
	return nil
}

// current are the lists as they are now: all, and the hard ones.
func (l *Lists) current() (all, hard *warnlist.Lists, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.refresh(); err != nil {
		return nil, nil, fmt.Errorf("reading the warning lists: %w", err)
	}
	return l.all, l.hard, nil
}

// digest names what the lists are, as long as their files stay.
func (l *Lists) digest() (text string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.refresh(); err != nil {
		return "", fmt.Errorf("reading the warning lists: %w", err)
	}
	return fmt.Sprintf("%x %+v %q%s", warnlist.BuiltinDigest(), l.own, l.stamp, l.said.digest()), nil
}

// All describes the lists, and says what is wrong with those of the folder.
func (l *Lists) All() (list []warnlist.List, wrong []error, err error) {
	all, _, err := l.current()
	if err != nil {
		return nil, nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return all.All(), l.wrong, nil
}

// Match gives the lists that a value is on, the graver ones first.
func (l *Lists) Match(v observable.Value) ([]warnlist.Hit, error) {
	all, _, err := l.current()
	if err != nil {
		return nil, err
	}
	return all.Match(v), nil
}

// Warned tells clients which lists a value is on, the graver ones first.
func (l *Lists) Warned(v observable.Value) (list []taxii.WarningList, err error) {
	hits, err := l.Match(v)
	for _, hit := range hits {
		list = append(list, taxii.WarningList{Name: hit.List, Class: hit.Class.String(), Date: hit.Date})
	}
	return list, err
}

// Warnings tells which values of an indicator are on lists, and whether one by which the indicator says that something
// is malicious is on a hard one. Of other objects, of revoked ones and of those that call something benign it tells
// nothing.
func (l *Lists) Warnings(object []byte) (list []warnlist.Warning, mistaken bool, err error) {
	all, _, err := l.current()
	if err != nil {
		return nil, false, err
	}
	list, mistaken = all.Warnings(object)
	return list, mistaken, nil
}
