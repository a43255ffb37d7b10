package taxii

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
)

// Watch is what this organisation watches for: its own addresses, networks, domains and the like. Nobody else is told,
// and no log has them.
type Watch interface {
	// Assets lists them, in their order.
	Assets(ctx context.Context, who Principal) ([]Asset, error)
	// ChangeAssets adds some and takes others out. *InvalidError if a text is no value, or there would be too many; it
	// must not quote them.
	ChangeAssets(ctx context.Context, who Principal, c AssetChange) (AssetsChanged, error)
	// AssetMatches lists which objects here are about an asset, now.
	AssetMatches(ctx context.Context, who Principal) (AssetMatches, error)
	// Concerns tells which assets an object is about.
	Concerns(object []byte) []Concern
}

// What the watch takes and tells at most.
const (
	MaxAssets       = 10_000
	MaxAssetMatches = 1000
	maxAssetBody    = 2 << 20 // bytes
)

// Asset is something of this organisation's own.
type Asset struct {
	Kind  string    `json:"kind"` // ipv4, ipv6, domain, url, cve and so on
	Value string    `json:"value"`
	Note  string    `json:"note,omitzero"`
	By    string    `json:"by,omitzero"`
	At    time.Time `json:"at,omitzero"`
}

// AssetChange is what is to be watched for from now on, and what no more. Values may be defanged.
type AssetChange struct {
	Add    []string `json:"add,omitzero"`
	Note   string   `json:"note,omitzero"` // of what is added; up to 200 bytes
	Remove []string `json:"remove,omitzero"`
}

// AssetsChanged is what became of that.
type AssetsChanged struct {
	Added   int `json:"added"`
	Known   int `json:"known"` // were watched for before
	Removed int `json:"removed"`
	Unknown int `json:"unknown"` // were to be removed, and were not watched for
	Assets  int `json:"assets"`  // there are now
	// Matches are the objects that are here already and about what was added.
	Matches AssetMatches `json:"matches"`
}

// Concern is that an object is about an asset.
type Concern struct {
	Asset Asset  `json:"asset"`
	How   string `json:"how"`   // same; in: it is about something in the asset; around: about something that the asset is in
	Value string `json:"value"` // that it is about
}

// The ways in which an object is about an asset.
const (
	ConcernSame   = "same"
	ConcernIn     = "in"
	ConcernAround = "around"
)

// AssetMatches are objects that are about assets.
type AssetMatches struct {
	Matches []AssetMatch `json:"matches"`
	More    bool         `json:"more,omitzero"` // there are more than these
	// Whole is false while older objects are being put into the indexes.
	Whole bool `json:"whole"`
}

// AssetMatch is an object here that is about an asset.
type AssetMatch struct {
	Concern
	Object   string    `json:"object"` // STIX id
	Version  string    `json:"version"`
	Type     string    `json:"type"`
	Title    string    `json:"title"`
	Member   string    `json:"member"`   // who published it; proved by its signature on the chain
	Standing string    `json:"standing"` // in force, not yet, expired, revoked
	Added    time.Time `json:"added"`    // when it came in here
}

// WatchEvent tells that an object which came in is about assets.
type WatchEvent struct {
	Object   string    `json:"object"`
	Version  string    `json:"version"`
	Concerns []Concern `json:"concerns"`
}

func (h *Handler) getWatch(x *exchange) error {
	if err := ownUser(x, RoleReader); err != nil {
		return err
	}
	list, err := h.watch.Assets(x.r.Context(), x.who)
	if err != nil {
		return err
	}
	if list == nil {
		list = []Asset{}
	}
	return h.sendJSON(x, http.StatusOK, plainJSON, struct {
		Assets []Asset `json:"assets"`
	}{list})
}

// postWatch changes what is watched for. The audit log says how many, and never which: what somebody has to lose is
// nobody's business.
func (h *Handler) postWatch(x *exchange) error {
	if err := ownUser(x, RolePublisher); err != nil {
		return err
	}
	var c AssetChange
	if err := readJSONOf(x, &c, "add and remove as lists of strings", maxAssetBody); err != nil {
		return err
	}
	done, err := h.watch.ChangeAssets(x.r.Context(), x.who, c)
	if err != nil {
		return err
	}
	h.note(x, WatchChanged(done))
	if done.Matches.Matches == nil {
		done.Matches.Matches = []AssetMatch{}
	}
	return h.sendJSON(x, http.StatusOK, plainJSON, done)
}

// WatchChanged is the line of the audit log for a change of what is watched for.
func WatchChanged(done AssetsChanged) Event {
	return Event{Name: EventWatch, Count: done.Added + done.Removed, Detail: fmt.Sprintf("%d added, %d removed", done.Added, done.Removed)}
}

func (h *Handler) getWatchMatches(x *exchange) error {
	if err := ownUser(x, RoleReader); err != nil {
		return err
	}
	found, err := h.watch.AssetMatches(x.r.Context(), x.who)
	if err != nil {
		return err
	}
	if found.Matches == nil {
		found.Matches = []AssetMatch{}
	}
	return h.sendJSON(x, http.StatusOK, plainJSON, found)
}

// sendConcerns says, before an object is sent that is about assets, which ones. The event has no id: whoever didn't get
// the object gets both again. Accounts with limits are not told what there is to lose.
func (h *Handler) sendConcerns(x *exchange, w *bufio.Writer, r Record) error {
	if h.watch == nil || x.who.Limits.Any() {
		return nil
	}
	concerns := h.watch.Concerns(r.Object)
	if len(concerns) == 0 {
		return nil
	}
	data, err := json.Marshal(WatchEvent{Object: r.ID, Version: r.Version, Concerns: concerns})
	if err != nil {
		return fmt.Errorf("telling what an object is about: %w", err)
	}
	if _, err := fmt.Fprintf(w, "event: watch.matched\ndata: %s\n\n", data); err != nil {
		return errGoneClient
	}
	return nil
}
