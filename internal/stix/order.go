package stix

import "hash/maphash"

// Order returns the indices of objects in the order of [References.Order].
func Order(objects []*Object) []int {
	var all References
	for _, o := range objects {
		all.Add(o)
	}
	return all.Order()
}

// References are the objects of a request by their identifiers, and what they refer to: as little as their order takes.
type References struct {
	seed maphash.Seed
	ids  []uint64 // hashes: if two were one, an object might come before another without need
	refs [][]uint64
}

// Add adds the next object.
func (r *References) Add(o *Object) {
	if r.ids == nil {
		r.seed = maphash.MakeSeed()
	}
	var refs []uint64
	if len(o.refs) > 0 {
		refs = make([]uint64, len(o.refs))
	}
	for i, ref := range o.refs {
		refs[i] = maphash.String(r.seed, ref)
	}
	r.ids, r.refs = append(r.ids, maphash.String(r.seed, o.ID)), append(r.refs, refs)
}

// Order returns the indices of the objects in an order in which an object comes after those that it refers to, if they
// are among them, and which is otherwise the order given. Where references form a circle, one of it comes first. It
// takes time in proportion to the number of objects and references.
func (r *References) Order() []int {
	byID := make(map[uint64][]int, len(r.ids)) // several, if there are versions
	for i, id := range r.ids {
		byID[id] = append(byID[id], i)
	}

	// A depth-first walk along the references, with a stack of its own because
	// a chain of references is as long as a stranger makes it.
	type visit struct {
		object int
		refs   []uint64 // still to be followed
	}
	var (
		order   = make([]int, 0, len(r.ids))
		visited = make([]bool, len(r.ids))
		stack   []visit
	)
	enter := func(i int) {
		if !visited[i] {
			visited[i] = true
			stack = append(stack, visit{i, r.refs[i]})
		}
	}
	for i := range r.ids {
		enter(i)
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if len(top.refs) == 0 {
				order = append(order, top.object)
				stack = stack[:len(stack)-1]
				continue
			}
			id := top.refs[0]
			versions := byID[id]
			if len(versions) == 0 || id == r.ids[top.object] {
				top.refs = top.refs[1:]
				continue
			}
			// Each version is entered by one reference only, whatever their numbers.
			byID[id] = versions[1:]
			enter(versions[0])
		}
	}
	return order
}
