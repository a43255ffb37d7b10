package clients

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/taxii"
)

// APIRoot is how this node describes its organisation's API root to its own clients. Other members know nothing of it.
type APIRoot struct {
	outbox *outbox.Outbox

	mu    sync.RWMutex
	words rootWords
}

type rootWords struct {
	Title       string `json:"title"`
	Description string `json:"description"`
}

// rootMemo is the name under which it is kept.
const rootMemo = "api-root"

// OpenAPIRoot reads how the root is described; title is what it is called as long as nobody has said so.
func OpenAPIRoot(outbox *outbox.Outbox, title string) (*APIRoot, error) {
	o := &APIRoot{outbox: outbox, words: rootWords{Title: title}}
	data, err := outbox.Memo(rootMemo)
	if err != nil || data == nil {
		return o, err
	}
	if err := json.Unmarshal(data, &o.words); err != nil {
		return nil, fmt.Errorf("reading the description of the API root: %w", err)
	}
	return o, nil
}

func (o *APIRoot) get() (title, description string) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.words.Title, o.words.Description
}

func (o *APIRoot) set(words rootWords) error {
	data, err := json.Marshal(words)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.outbox.SetMemo(rootMemo, data); err != nil {
		return err
	}
	o.words = words
	return nil
}

// Administration does what an administrator asks for over HTTP and the chain or the view has a part in.
type Administration struct {
	Own         string // this organisation's name
	Described   *APIRoot
	State       *state.Shared
	Collections creator
}

// creator makes collections on the chain.
type creator interface {
	Create(ctx context.Context, spec collections.Spec) (consortium.Collection, error)
}

var _ taxii.Owner = (*Administration)(nil)

// DescribeRoot gives this organisation's API root other words.
func (a *Administration) DescribeRoot(_ context.Context, _ taxii.Principal, title, description string) error {
	return a.Described.set(rootWords{title, description})
}

// creationTimeout is how long a request for a collection waits for the chain, and then how long the client is to.
const (
	creationTimeout = 2 * time.Minute
	creationRetry   = 30 * time.Second
)

// CreateCollection makes a collection on the chain. If that takes too long it goes on; a client that asks again is told
// to wait, and then that the collection is there.
func (a *Administration) CreateCollection(ctx context.Context, who taxii.Principal, spec taxii.NewCollection) (taxii.Collection, error) {
	if spec.Alias != "" {
		taken := slices.ContainsFunc(a.State.Collections(), func(c consortium.Collection) bool {
			return c.Properties.Alias == spec.Alias && (c.Owner == a.State.Self || c.Default)
		})
		if taken {
			return taxii.Collection{}, fmt.Errorf("%w: there is a collection with the alias %q", taxii.ErrConflict, spec.Alias)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, creationTimeout)
	defer cancel()
	c, err := a.Collections.Create(auditlog.AsUser(ctx, who.User), collections.Spec{
		Title: spec.Title, Alias: spec.Alias, Description: spec.Description, Readers: spec.Readers, Contributors: spec.Contributors,
		DefaultLevel: spec.DefaultLevel, Metadata: spec.Metadata, Padding: spec.Padding,
	})
	if errors.Is(err, collections.ErrOnItsWay) || ctx.Err() != nil && err != nil {
		return taxii.Collection{}, errors.Join(err, &taxii.RetryAfterError{After: creationRetry})
	}
	if err != nil {
		return taxii.Collection{}, problem.ForClient(err)
	}
	info := collections.Describe(a.State, c)
	return taxii.Collection{
		Root: a.Own, ID: info.ID, Alias: info.Alias, Title: info.Title, Description: info.Description,
		CanRead: true, CanWrite: info.Write,
	}, nil
}
