package state

import (
	"fmt"
	"slices"
	"strings"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/spelling"
	"github.com/serviceledger/slnode/node/problem"
)

// CalledCollection is what a collection can be called by.
type CalledCollection struct {
	ID, Alias string
	Owner     string // the member's name
	Own       bool   // of this organisation
	Common    bool   // the consortium's default one
}

// Choose finds the collection that an operator of this node means. Its id names it whatever anybody else calls theirs.
// An alias is that of a collection of this organisation's or else of the consortium's own; another member's collection
// is OWNER/ALIAS, as it is in a URL. So what some member calls its collection decides nothing that wasn't asked of that
// member: neither which audience a name leads to, nor whether it leads anywhere.
func Choose(list []CalledCollection, name string) (int, error) {
	if i := slices.IndexFunc(list, func(c CalledCollection) bool { return c.ID == name }); i >= 0 {
		return i, nil
	}
	owner, alias, others := strings.Cut(name, "/")
	if !others {
		alias = name
	}
	var own, common, theirs, similar []int
	for i, c := range list {
		if c.Alias == "" || c.Alias != alias {
			continue
		}
		similar = append(similar, i)
		switch {
		case others && c.Owner == owner:
			theirs = append(theirs, i)
		case !others && c.Own:
			own = append(own, i)
		case !others && c.Common:
			common = append(common, i)
		}
	}
	for _, found := range [][]int{own, common, theirs} {
		switch len(found) {
		case 0:
		case 1:
			return found[0], nil
		default:
			return 0, problem.Input(fmt.Errorf("%d collections of one owner are called %.60q; name one by its id", len(found), name))
		}
	}
	if len(similar) > 0 {
		c := list[similar[0]]
		return 0, problem.Missing(fmt.Errorf("neither this organisation nor the consortium has a collection %.60q; another member's is named by its id, or as %s/%s",
			name, c.Owner, c.Alias))
	}
	var ours []string // what others call theirs is proposed to nobody
	for _, c := range list {
		if c.Alias != "" && (c.Own || c.Common) {
			ours = append(ours, c.Alias)
		}
	}
	return 0, problem.Missing(fmt.Errorf("this organisation can read no collection %.60q%s", name, meant(name, ours)))
}

// namedAtOnce is how many names an error tells, at most.
const namedAtOnce = 10

// meant says which of some names may be meant by one that is none of them, or all of them if they are few.
func meant(name string, names []string) string {
	slices.Sort(names)
	names = slices.Compact(names)
	const typed = 64 // bytes of what is compared: no name is longer
	near, least := "", max(1, (len(name)+1)/3)
	for _, one := range names {
		if d := spelling.Distance(name[:min(len(name), typed)], one[:min(len(one), typed)]); d <= least && d < len(one) {
			near, least = one, d-1
		}
	}
	switch {
	case near != "":
		return fmt.Sprintf("; is %s meant?", near)
	case len(names) == 1:
		return "; there is " + names[0]
	case len(names) > 0 && len(names) <= namedAtOnce:
		return "; there are " + strings.Join(names, ", ")
	}
	return ""
}

// NoMember is the error about a name that no member has.
func (f *Shared) NoMember(name string) error {
	var names []string
	for _, m := range f.Members() {
		if m.Name != "" && m.Removed == nil {
			names = append(names, m.Name)
		}
	}
	return NoMember(name, names)
}

// NoMember is the error about a name that no member has, where the members have these names.
func NoMember(name string, names []string) error {
	return problem.Missing(fmt.Errorf("no member is called %.60q%s", name, meant(name, names)))
}

// Called finds the collection that an operator means.
func (f *Shared) Called(name string) (consortium.Collection, error) {
	owners := map[string]string{}
	for _, m := range f.Members() {
		owners[m.Account] = m.Name
	}
	collections := f.Collections()
	list := make([]CalledCollection, len(collections))
	for i, c := range collections {
		list[i] = CalledCollection{ID: c.ID, Alias: c.Properties.Alias, Owner: owners[c.Owner], Own: c.Owner == f.Self, Common: c.Default}
	}
	i, err := Choose(list, name)
	if err != nil {
		return consortium.Collection{}, err
	}
	return collections[i], nil
}

// AllMembers stands for every member, in lists of organisations.
const AllMembers = "all"

// The aliases of the collections of the view, beside those of the consortium.
const (
	EverythingAlias = "everything"
	OthersAlias     = "others" // what several members publish under one id, but for what is served as the object
)
