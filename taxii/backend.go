package taxii

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Errors that a backend returns, wrapped or bare, and that the server turns into answers. Whatever else a backend
// returns is answered with a 500 that tells the client nothing and is logged in full.
var (
	// ErrUnauthorized says that a credential is wrong, unknown or expired. 401.
	ErrUnauthorized = errors.New("wrong or missing credentials")
	// ErrForbidden says that the principal may not do this. 403.
	ErrForbidden = errors.New("not permitted")
	// ErrNotFound says that there is no such thing, or that the principal may not know that there is. 404.
	ErrNotFound = errors.New("not found")
	// ErrConflict says that the state of the node rules this out. 409; the
	// text of an error that wraps it is shown to the client.
	ErrConflict = errors.New("conflict")
	// ErrFull says that there is no room for what a request brings. 507.
	ErrFull = errors.New("the disk is full")
)

// InvalidError refuses a well-formed request for what it says. 422; the reason is shown to the client.
type InvalidError struct {
	Reason  string
	Missing bool // something that the request names is not there: its error_code is CodeMissing
}

func (e *InvalidError) Error() string { return e.Reason }

// ExpiredError is an [ErrUnauthorized] about a credential that was right until At. Only who holds it is told.
type ExpiredError struct{ At time.Time }

func (e *ExpiredError) Error() string { return "the credential has expired" }

// Is makes it a refusal like any other, for those who count them.
func (e *ExpiredError) Is(target error) bool { return target == ErrUnauthorized }

// RetryAfterError refuses for now. From an [Authenticator] or [Accounts] it means too many attempts and is answered
// with 429, from a [Store] or [Publisher] it means too much load and is answered with 503; both carry After in
// Retry-After.
type RetryAfterError struct{ After time.Duration }

func (e *RetryAfterError) Error() string {
	return fmt.Sprintf("try again in %v", e.After)
}

// LimitError refuses what is more than somebody may bring, until After. 429; the reason is shown to the client.
type LimitError struct {
	Reason string
	After  time.Duration
}

func (e *LimitError) Error() string { return e.Reason }

// Owner changes what the organisation that owns the node offers. by is an administrator of it, without limits.
type Owner interface {
	// DescribeRoot gives the organisation's API root a title and a description,
	// which are this node's alone. *InvalidError if they will not do.
	DescribeRoot(ctx context.Context, by Principal, title, description string) error

	// CreateCollection makes a collection and returns when it can be used. ErrConflict if the alias is taken,
	// *InvalidError if something else of the specification will not do.
	CreateCollection(ctx context.Context, by Principal, spec NewCollection) (Collection, error)
}

// NewCollection says what collection is to be made. All but the title may be
// empty; organisations are given by name, "all" stands for every member.
type NewCollection struct {
	Title, Alias, Description string
	Readers, Contributors     []string // beside the owner
	DefaultLevel              string   // TLP level of objects without a marking
	Metadata, Padding         string
}

// Root is an API root. Its name is its one path segment; taxii2 and v1 are taken by the server.
type Root struct{ Name, Title, Description string }

// Collection is a TAXII collection as it is for one principal.
type Collection struct {
	Root               string // name of the API root
	ID                 string // UUIDv4
	Alias              string // unique within the root, or empty
	Title, Description string
	CanRead, CanWrite  bool
	Closed             string // why nobody can write at present; empty if only CanWrite decides
}

// Record is one version of one object in a collection's view.
type Record struct {
	ID          string // STIX id
	Version     string // modified, else created, else the backend's own unchanging value; as it was written
	SpecVersion string // "2.1"
	// DateAdded is when the record entered this collection's view: unique in the collection, whole microseconds, and later
	// than every one that a reader could have seen before.
	DateAdded time.Time
	Object    []byte // the STIX object byte for byte; nil unless the query asks for it, see [Query]

	// Where the object is kept; zero values are left out of answers.
	StoredAt  time.Time
	CID, TxID string
	AssetID   uint64
	Index     uint32 // as in [StatusDetail]
	Publisher string // name of the member that published it
}

// VersionMatch says which versions of an object a query takes: those that at
// least one of its parts takes. At least one part is set.
type VersionMatch struct {
	All bool
	// First and Last are the earliest and the latest by version, not by DateAdded, among those of the object that
	// SpecVersions lets through. After takes no part in it: a version is last if no later one exists.
	First, Last bool
	At          []time.Time // these instants, however they are written
}

// Query asks for a page of a collection. An empty list does not restrict.
type Query struct {
	IDs   []string // STIX ids
	Types []string // STIX types
	// SpecVersions are STIX specification versions; empty asks for the latest one of each object.
	SpecVersions []string
	Version      VersionMatch
	After        int64 // only records with DateAdded.UnixMicro() > After
	Limit        int   // > 0
	WithObjects  bool  // the records have their DateAdded and Object, and need nothing else
	// Own asks for what the node's organisation published of the objects that
	// IDs names, whether or not that is what the collection shows of them.
	Own bool
}

// Page is a stretch of the records that a query takes, in ascending order of DateAdded. It holds at most the query's
// Limit and may be cut shorter by its size in bytes, but is never empty when More is set.
type Page struct {
	Records []Record
	Rest    []Chunk // what comes after Records: to be read while it is sent
	More    bool    // at least one record that the query takes comes after
}

// Chunk is a part of a page that has not been read yet, so that an answer which nobody reads holds little of it.
type Chunk struct {
	Count       int
	Bytes       int64     // of memory that its records will take, about
	First, Last time.Time // DateAdded of its first and last record
	// Read reads the records. Those that have left the collection meanwhile are not among them.
	Read func() ([]Record, error)
}

// empty tells whether the page holds no record.
func (p Page) empty() bool { return len(p.Records) == 0 && len(p.Rest) == 0 }

// dates are the DateAdded of the first and the last record of a page that is not empty.
func (p Page) dates() (first, last time.Time) {
	if n := len(p.Records); n > 0 {
		first, last = p.Records[0].DateAdded, p.Records[n-1].DateAdded
	} else {
		first = p.Rest[0].First
	}
	if n := len(p.Rest); n > 0 {
		last = p.Rest[n-1].Last
	}
	return first, last
}

// count is how many records the page holds.
func (p Page) count() int {
	n := len(p.Records)
	for _, chunk := range p.Rest {
		n += chunk.Count
	}
	return n
}

// Store is what can be read. The cost of a page must not grow with the size of the collection.
type Store interface {
	// Roots lists the API roots that who may know of. For the zero Principal
	// they are those that discovery shows to anybody.
	Roots(ctx context.Context, who Principal) ([]Root, error)

	// Root finds one of them by name. ErrNotFound if there is none, or none
	// that who may know of. It is called for on every request.
	Root(ctx context.Context, who Principal, name string) (Root, error)

	// Collections lists a root's collections for who, sorted by id, without
	// those that it can neither read nor write. ErrNotFound as for Root.
	Collections(ctx context.Context, who Principal, root string) ([]Collection, error)

	// Collection finds one of a root's collections by id or alias. ErrNotFound if who can neither read nor write it.
	Collection(ctx context.Context, who Principal, root, idOrAlias string) (Collection, error)

	// Objects returns the next page of a collection that who can read. What
	// who may not see is left out before Limit and More are worked out.
	Objects(ctx context.Context, who Principal, c Collection, q Query) (Page, error)

	// HasObject tells whether the collection holds any version of the object that who may see.
	HasObject(ctx context.Context, who Principal, c Collection, id string) (bool, error)
}

// Incoming is one member of the objects that a client adds.
type Incoming struct {
	// Raw is the value byte for byte as it was posted, whatever its kind. Its
	// memory counts as the request's: copy what outlives the call.
	Raw []byte
	// Err is nil if Raw is I-JSON (RFC 7493) of bearable depth, so that decoders agree on what it says; else it says why
	// not, in words that may stand in a status.
	Err error
}

// Objects are what a client adds, in its order. Where they are many they are not in memory: each is read when it is
// asked for.
type Objects interface {
	Len() int
	// At gives one of them. An error is the node's, not the object's.
	At(i int) (Incoming, error)
}

// Listed are objects that are in memory.
type Listed []Incoming

func (l Listed) Len() int                   { return len(l) }
func (l Listed) At(i int) (Incoming, error) { return l[i], nil }

// Addition is what a client adds to a collection.
type Addition struct {
	Objects Objects
	// To names the organisations that the objects are for, if it is not empty: they and their publisher will be able to
	// read them and nobody else, whoever reads the collection.
	To []string
	// Replace lets an object take the place of one that the same organisation
	// published as the same version, with other content.
	Replace bool
	// Anyway lets an indicator be taken that is mistaken, as far as warning lists know.
	Anyway bool
}

// Publisher takes objects in and tells what became of them.
type Publisher interface {
	// Publish takes the objects in durably and returns their status, after waiting as long as it is configured to for the
	// last of them to be done. Each of the objects is in exactly one of the status's lists, also the ones that have an
	// Err. c can be written by who. ctx ends when the client leaves; what was taken in by then stays so. *InvalidError if
	// the objects can't be for whom they are for.
	Publish(ctx context.Context, who Principal, c Collection, a Addition) (Status, error)

	// Status returns an earlier Publish's status as it is now. ErrNotFound if
	// there is none (any more) or who may not read it.
	Status(ctx context.Context, who Principal, root, id string) (Status, error)
}

// Rehearser tells what adding objects would do, and does nothing.
type Rehearser interface {
	// Rehearse checks the objects as [Publisher.Publish] would.
	Rehearse(ctx context.Context, who Principal, c Collection, a Addition) (Rehearsal, error)
}

// Rehearsal is what adding objects would do. Each of the objects has a part in it, in the order of the request.
type Rehearsal struct {
	Objects []RehearsedObject
	Extra   uint64 // what it would cost beside the objects, in microalgo
	// Batched says which of the two it would be: an NFT for each new object, or one for many.
	Batched           bool
	AsSingle, AsBatch Price
}

// Price is what new objects cost, in microalgo.
type Price struct {
	NFTs   int    `json:"nfts"`
	Fees   uint64 `json:"fees_microalgo"`
	Locked uint64 `json:"locked_microalgo"` // until the NFTs are destroyed
}

// Plus is the price of both.
func (p Price) Plus(other Price) Price {
	return Price{NFTs: p.NFTs + other.NFTs, Fees: p.Fees + other.Fees, Locked: p.Locked + other.Locked}
}

// RehearsedObject is what would become of one object.
type RehearsedObject struct {
	ID, Version string   // as in [StatusDetail]
	Readers     []string // the organisations that would be able to read it
	Cost        uint64   // in microalgo; 0 if it is published already, or an object before it in the batch pays
	TxID        string   // of the transaction that published it already
	Failure     string   // why it would be refused
	Note        string   // as in [StatusDetail]
	Warnings    []Warning
}

// Warning is a value of an object that is on warning lists.
type Warning struct {
	Kind  string        `json:"kind"`
	Value string        `json:"value"`
	Lists []WarningList `json:"lists"` // the gravest first
}

// WarningList is a list that a value is on.
type WarningList struct {
	Name  string `json:"name"`
	Class string `json:"class"` // "hard", "shared" or "context"
	Date  string `json:"date"`
}

// Withdrawer takes objects out of collections again.
type Withdrawer interface {
	// Withdraw takes records, which are versions of one object in c, out of the collection: all of them or, with an error,
	// none. It returns their status as [Publisher.Publish] does and under the same rules: what is among the successes is
	// in none of the Store's answers any more, and there are no failures. c can be read and written by who. ErrForbidden
	// if one of the records is not who's to withdraw.
	Withdraw(ctx context.Context, who Principal, c Collection, records []Record) (Status, error)
}

// Observer tells of changes of collections.
type Observer interface {
	// Changed tells when something last came into c or left it, in the unix microseconds of DateAdded: not before the
	// DateAdded of any record that c holds, and before that of any that comes later. 0 if c never held any.
	Changed(ctx context.Context, c Collection) (int64, error)

	// Changes returns a channel that is closed at the next change of any
	// collection. Who takes it first and looks afterwards misses none.
	Changes() <-chan struct{}
}

// Remover tells what left collections.
type Remover interface {
	// Removals gives what left c after a time, in unix microseconds, in its order: up to limit, and whether there is more.
	// A removal has a time of its own, as a record has, and no later record has an earlier one.
	Removals(ctx context.Context, c Collection, after int64, limit int) (list []Removal, more bool, err error)
}

// Removal is a version of an object that left a collection.
type Removal struct {
	Time       time.Time      `json:"-"` // as DateAdded of a [Record]
	ID         string         `json:"id"`
	Version    string         `json:"version"`
	Type       string         `json:"type"`
	Collection string         `json:"collection"` // in which it was published
	Gone       bool           `json:"gone"`       // no version of the object is left
	Values     []RemovedValue `json:"values"`     // that the object was about
}

// RemovedValue is a value that an object was about.
type RemovedValue struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

// Exporter makes lists for firewalls, resolvers and sensors of what the indicators of a collection say.
type Exporter interface {
	// ListChanged tells, in unix microseconds, when a list that a query asks for became another one otherwise than by the
	// passing of time: when c changed last as [Observer] has it, or what the node is told about lists.
	ListChanged(ctx context.Context, c Collection, q ExportQuery) (int64, error)

	// Export prepares a list of a collection that who can read. The same query gives the same list until ListChanged tells
	// of another time, or the Export's Until has come. *InvalidError if there is no such format or kind, *RetryAfterError
	// if too many lists are made at once.
	Export(ctx context.Context, who Principal, c Collection, q ExportQuery) (Export, error)
}

// ExportQuery asks for a list. Its words come from a client.
type ExportQuery struct {
	Format        string
	Kinds         []string  // of values; empty: all
	MinConfidence int       // of indicators, 0 to 100
	Score         int       // that is left of what it was by now, 0 to 100; 0: however little
	DropShared    bool      // without what is on a warning list since many use it
	Subdomains    bool      // names stand for the names below them, too
	Changed       time.Time // what ListChanged told before
}

// Export is a list that is ready to be written.
type Export struct {
	MediaType string
	Skipped   int // how many indicators are not, or not wholly, in the list
	// Unreliable is how many of them would be, were their publishers held to be completely reliable.
	Unreliable int
	Until      time.Time // when another one takes its place without a change of the collection; zero: never
	// Write writes the list. It is called at most once.
	Write func(context.Context, io.Writer) error
	Close func() // is called in any case
}

// Status is what became of a request to add or withdraw objects. It is pending as long as one of its objects is.
type Status struct {
	ID          string // UUIDv4
	RequestedAt time.Time

	Successes, Failures, Pendings []StatusDetail
	Rest                          []StatusChunk // what comes after these: to be read while it is sent
}

// StatusChunk is a part of a status that is not in memory.
type StatusChunk struct {
	Successes, Failures, Pendings int // how many it has
	// Read gives just so many, in the lists of a status.
	Read func() (Status, error)
}

// taken are the ids of the first objects that were taken, as many as the audit log names.
func (s Status) taken() (ids []string) {
	for _, list := range [][]StatusDetail{s.Successes, s.Pendings} {
		for _, d := range list[:min(len(list), AuditObjects-len(ids))] {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

// StatusDetail is what became of one object.
type StatusDetail struct {
	ID      string // STIX id; empty if the object has none that can be read
	Version string // as in [Record]; empty if none can be read: the time of the request is answered
	Message string // on success the id of the transaction that minted it, alone
	Note    string // what is odd about it, though it is taken

	Publisher string // name of the member whose it is

	// Where the object is kept, as far as it is known; zero values are left out of answers.
	StoredAt  time.Time
	CID, TxID string
	AssetID   uint64
	Index     uint32 // its place in a batch, from 1; 0 if it has an NFT of its own
}
