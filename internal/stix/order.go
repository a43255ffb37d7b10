package stix

// Order returns the indices of objects in an order in which an object comes after those that it refers to, if they are
// among them, and which is otherwise the order given. Where references form a circle, one of it comes first. It takes
// time in proportion to the number of objects and references.
func Order(objects []*Object) []int {
	byID := make(map[string][]int, len(objects)) // several, if there are versions
	for i, o := range objects {
		byID[o.ID] = append(byID[o.ID], i)
	}

	// A depth-first walk along the references, with a stack of its own because
	// a chain of references is as long as a stranger makes it.
	type visit struct {
		object int
		refs   []string // still to be followed
	}
	var (
		order   = make([]int, 0, len(objects))
		visited = make([]bool, len(objects))
		stack   []visit
	)
	enter := func(i int) {
		if !visited[i] {
			visited[i] = true
			stack = append(stack, visit{i, objects[i].refs})
		}
	}
	for i := range objects {
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
			if len(versions) == 0 || id == objects[top.object].ID {
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
