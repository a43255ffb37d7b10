package kv

import "sync"

// readers keeps the files of large values that transactions may still read.
type readers struct {
	mu          sync.Mutex
	generations []*generation // the last one is what is read now; what was before is read by those who began then
}

type generation struct {
	reading int
	dropped []ref // when it ended
}

// current is the last generation. The caller holds the mutex.
func (r *readers) current() *generation {
	if len(r.generations) == 0 {
		r.generations = []*generation{{}}
	}
	return r.generations[len(r.generations)-1]
}

func (r *readers) enter() *generation {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.current()
	g.reading++
	return g
}

// leave ends a transaction and gives the files that nobody can read any more.
func (r *readers) leave(g *generation) []ref {
	r.mu.Lock()
	defer r.mu.Unlock()
	g.reading--
	return r.unread()
}

// drop says that who begins now can't read some files, and gives those that nobody can.
func (r *readers) drop(refs []ref) []ref {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current().dropped = refs
	r.generations = append(r.generations, &generation{})
	return r.unread()
}

func (r *readers) unread() (refs []ref) {
	for len(r.generations) > 1 && r.generations[0].reading == 0 {
		refs = append(refs, r.generations[0].dropped...)
		r.generations = r.generations[1:]
	}
	return refs
}
