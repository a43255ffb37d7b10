// Package search answers what is known here of a value, a word or an object: of what this organisation can read, and of
// that what the account may read who asks.
//
//   - search.go has the answers' types; what the others need of the node is in reader.go;
//   - lookup.go finds values, find.go what somebody types into a box, around.go what refers to an object, and what it
//     refers to;
//   - describe.go says what an object is in a sentence, corroborate.go who else says the same, seen.go who has seen it,
//     how often and when.
//
// It shows what is there and stores nothing, and no question is in a log.
package search

import (
	"time"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/taxii"
)

// What a question takes and an answer holds at most.
const (
	MaxValues     = 1000 // values of one lookup
	MaxExact      = 200  // objects about a value that are told of
	MaxNarrower   = 50   // objects about what a value contains
	MaxWider      = 50   // objects about what contains it
	MaxCandidates = 5000 // objects that a search with filters looks at
	MaxPage       = 100  // objects of a page
	MaxAround     = 200  // objects of each direction around an object
	MaxSame       = 200  // objects that corroborate
)

// Standing is whether an object counts now.
type Standing string

// The standings.
const (
	InForce Standing = "in force"
	NotYet  Standing = "not yet" // its valid_from is in the future
	Expired Standing = "expired" // its valid_until is over
	Revoked Standing = "revoked"
)

// Summary says what one version of an object is. Everything but what is said to be proved is what its publisher wrote,
// and nobody checked it.
type Summary struct {
	ID       string    `json:"id"`
	Type     string    `json:"type"`
	Version  string    `json:"version"`  // as TAXII has it
	Title    string    `json:"title"`    // its name, or the value that it is about; up to 300 characters
	Sentence string    `json:"sentence"` // what it says, in one sentence of English
	Level    string    `json:"level,omitzero"`
	Standing Standing  `json:"standing"`
	Until    time.Time `json:"until,omitzero"` // when it expires

	Confidence *int `json:"confidence,omitzero"` // 0 to 100
	// Credibility is what that is in the Admiralty system, 1 to 5 (STIX 2.1, Appendix A); 0 without one.
	Credibility int      `json:"credibility,omitzero"`
	Labels      []string `json:"labels,omitzero"` // up to 20

	Values     []observable.Found `json:"values,omitzero"`      // that it is about, up to 20
	MoreValues bool               `json:"more_values,omitzero"` // … it is about more than these

	Member          string    `json:"member"`               // the organisation that published it; proved by its signature on the chain
	Reliability     string    `json:"reliability,omitzero"` // A to F: how reliable this organisation holds that one to be
	Own             bool      `json:"own,omitzero"`         // that is this one
	Author          string    `json:"author,omitzero"`      // created_by_ref
	AuthorName      string    `json:"author_name,omitzero"` // … the name of that identity, if it is here
	Collection      string    `json:"collection"`           // id
	CollectionTitle string    `json:"collection_title,omitzero"`
	Created         time.Time `json:"created,omitzero"`
	Modified        time.Time `json:"modified,omitzero"`
	Added           time.Time `json:"added"` // when it came in here: date_added
	StoredAt        time.Time `json:"stored_at,omitzero"`

	TxID  string `json:"txid"`
	Asset uint64 `json:"asset"`
	Index uint32 `json:"index,omitzero"` // its place in a batch, from 1
	CID   string `json:"cid"`
}

// Hit is an object that is about a value.
type Hit struct {
	Value  observable.Value `json:"value"` // that the object is about
	Role   observable.Role  `json:"role"`
	Object Summary          `json:"object"`
}

// Answer is what is known of one value.
type Answer struct {
	Value observable.Value `json:"value"`
	// Exact are objects about just this value, those in force first, then the newest; up to MaxExact.
	Exact []Hit `json:"exact,omitzero"`
	// Wider are objects about networks that it is in, domains above it and, of URLs and e-mail addresses, where they are
	// at, the narrowest first.
	Wider []Hit `json:"wider,omitzero"`
	// Narrower are objects about what it contains: what is in a network, names below a domain, URLs there.
	Narrower []Hit `json:"narrower,omitzero"`
	// More says that there are more than these of any of the three.
	More bool `json:"more,omitzero"`

	// Members are the organisations that published what is exact and in force, by name.
	Members []string `json:"members,omitzero"`
	// Independent is how many independent sources these objects have, see Corroboration.
	Independent int `json:"independent,omitzero"`
	// Sightings and Opinions are how many objects of these types refer to what is exact, up to MaxSame of each.
	Sightings int `json:"sightings,omitzero"`
	Opinions  int `json:"opinions,omitzero"`
	// Seen is what these sightings say.
	Seen *Seen `json:"seen,omitzero"`
	// Levels are the TLP levels of what is exact, each once.
	Levels []string `json:"levels,omitzero"`
	// Warned are the warning lists that the value is on, the graver ones first: such as those of what many use.
	Warned []taxii.WarningList `json:"warned,omitzero"`
}

// Known reports whether anything is known of the value: of itself, of what contains it or of what it contains.
func (a Answer) Known() bool { return len(a.Exact)+len(a.Wider)+len(a.Narrower) > 0 }

// Query is what somebody asks for: text as it is typed, and filters. Empty fields don't restrict.
type Query struct {
	// Text is one of: a value, defanged or not; a STIX id; a transaction id, with or without /INDEX; a CID; a CVE or
	// ATT&CK number; or words, all of which the object has in its name, aliases, labels or external ids, the last of them
	// as a beginning.
	Text string

	Type          string // STIX type
	Member        string // name of the organisation that published it
	Level         string // of the TLP: "TLP:AMBER" or "amber"
	Collection    string // id
	Label         string
	MinConfidence int // 0 to 100; above 0 it leaves out what has none
	Standing      Standing

	Cursor string // of the page before; empty for the first
	Limit  int    // 1 to MaxPage; 0: 50
}

// Page is a page of what was found, the newest first.
type Page struct {
	Objects []Summary `json:"objects,omitzero"`
	// Next is the cursor of the next page; empty if there is none. It is opaque and good for the same query alone.
	Next string `json:"next,omitzero"`
	// Narrow says that MaxCandidates objects were looked at, so that there may be more: the question should be narrowed
	// down. With Next the search goes on.
	Narrow bool `json:"narrow,omitzero"`
	// Read says how the text was understood: "value", "id", "transaction", "cid", "words" or "everything".
	Read string `json:"read"`
}

// Link is a reference between two objects.
type Link struct {
	Kind   string  `json:"kind"` // the property: source_ref, object_refs, created_by_ref, …
	Object Summary `json:"object"`
	// Of a relationship that links the object to another one: that one, and what the relationship is called. Object is
	// the relationship itself then.
	Relationship string   `json:"relationship,omitzero"`
	Other        *Summary `json:"other,omitzero"`
	OtherID      string   `json:"other_id,omitzero"` // also where the other one is not here
}

// Neighbours are what refers to an object and what it refers to. Of each up to MaxAround are told.
type Neighbours struct {
	From []Link `json:"from,omitzero"` // objects that refer to it
	To   []Link `json:"to,omitzero"`   // objects that it refers to
	// Counts are how many refer to it by type, and say more than From where there are more; CountsMore says that even
	// these are not all.
	Counts     map[string]int `json:"counts,omitzero"`
	More       bool           `json:"more,omitzero"`
	Missing    []string       `json:"missing,omitzero"` // ids that it refers to and that are not here, or may not be read
	CountsMore bool           `json:"counts_more,omitzero"`
}

// Corroboration is who else says what an object says: other objects in force about the same value. Nothing is merged
// by it.
type Corroboration struct {
	Objects []Hit `json:"objects,omitzero"`
	More    bool  `json:"more,omitzero"` // there are more than MaxSame: the value is too common to say anything
	// Members are all organisations that say it, with the object's own.
	Members []string `json:"members,omitzero"`
	// Independent is how many sources there are, the object's own among them: two objects are of one source if the same
	// organisation published them, the same identity wrote them (created_by_ref), they have an external reference in
	// common, or the same feed brought them here.
	Independent int `json:"independent"`
}
