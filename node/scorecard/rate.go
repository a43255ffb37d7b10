package scorecard

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serviceledger/slnode/internal/quality"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/taxii"
)

const (
	ratedPrefix = "member/rated/" // begins the names under which ratings are kept, by members' first accounts
	maxRatings  = 10_000
	maxWhy      = 500 // bytes
)

// rating is how reliable a person of this organisation holds a member to be.
type rating struct {
	Reliability quality.Reliability `json:"reliability"`
	Why         string              `json:"why,omitempty"`
	By          string              `json:"by"`
	At          time.Time           `json:"at"`
}

// ratings are all of them, by members' first accounts.
type ratings struct {
	mu sync.Mutex
	of map[string]rating
}

func (r *Room) load() error {
	all := map[string]rating{}
	err := state.EachMemo(r.Memos, ratedPrefix, maxRatings, func(name string, one rating) { all[strings.TrimPrefix(name, ratedPrefix)] = one })
	if err != nil {
		return fmt.Errorf("reading how reliable members are: %w", err)
	}
	r.ratings.mu.Lock()
	defer r.ratings.mu.Unlock()
	r.ratings.of = all
	return nil
}

// Rate says how reliable a member is, or that nothing is said of it any more.
func (r *Room) Rate(_ context.Context, who taxii.Principal, member string, says taxii.Rating) error {
	if who.Role < taxii.RoleAdmin || who.Limits.Any() {
		return taxii.ErrForbidden
	}
	accounts, unknown := r.State.MembersCalled([]string{member})
	switch {
	case len(unknown) > 0:
		return taxii.ErrNotFound
	case accounts[0] == r.State.Own():
		return &taxii.InvalidError{Reason: "this organisation does not rate itself; name another member"}
	case len(says.Why) > maxWhy:
		return &taxii.InvalidError{Reason: fmt.Sprintf("why: it has more than %d bytes", maxWhy)}
	}
	name := ratedPrefix + accounts[0]
	r.ratings.mu.Lock()
	defer r.ratings.mu.Unlock()
	if says.Reliability == "" {
		if err := r.Memos.ForgetMemo(name); err != nil {
			return err
		}
		delete(r.ratings.of, accounts[0])
		return nil
	}
	letter, err := quality.ParseReliability(says.Reliability)
	if err != nil {
		return &taxii.InvalidError{Reason: "reliability: " + err.Error()}
	}
	one := rating{Reliability: letter, Why: strings.ToValidUTF8(says.Why, ""), By: who.User, At: r.Now().UTC().Truncate(time.Second)}
	data, err := json.Marshal(one)
	if err == nil {
		err = r.Memos.SetMemo(name, data)
	}
	if err != nil {
		return fmt.Errorf("keeping how reliable %s is: %w", member, err)
	}
	r.ratings.of[accounts[0]] = one
	return nil
}

// fill says in a card what was set.
func (r *ratings) fill(card *taxii.MemberCard, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.of[id]
	card.Weight = one.Reliability.Weight()
	if one.Reliability != "" {
		card.Reliability, card.Means, card.Why, card.SetBy, card.SetAt = string(one.Reliability), one.Reliability.Words(), one.Why, one.By, one.At
	}
}

// Reliability tells how reliable the member with an account is held to be; "" if nothing was set.
func (r *Room) Reliability(account string) quality.Reliability {
	m, found := r.State.Member(account)
	if !found {
		return ""
	}
	r.ratings.mu.Lock()
	defer r.ratings.mu.Unlock()
	return r.ratings.of[m.ID].Reliability
}

// Rated gives the letters that were set, by the members' names, and a text that is another one when they are; "" if
// there are none.
func (r *Room) Rated() (letters map[string]quality.Reliability, digest string) {
	r.ratings.mu.Lock()
	of := maps.Clone(r.ratings.of)
	r.ratings.mu.Unlock()
	if len(of) == 0 {
		return nil, ""
	}
	letters = map[string]quality.Reliability{}
	for account, one := range of {
		letters[r.State.Name(account)] = one.Reliability
	}
	sum := sha256.New()
	for _, account := range slices.Sorted(maps.Keys(of)) {
		fmt.Fprintf(sum, "%q %s\n", account, of[account].Reliability)
	}
	return letters, hex.EncodeToString(sum.Sum(nil)[:8])
}
