package p2p

import (
	"container/list"
	"sync"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

// staging holds announced directories in memory until [Host.Fetch] wants them: the chain decides what is real, so
// nothing is written before it did. It is bounded in bytes, in all and per author, and drops the oldest: of the
// author's own where the author has too much, else of the author's that has the most. So whoever says little keeps it,
// however many others say a lot.
type staging struct {
	total, perAuthor int64

	mu      sync.Mutex
	bytes   int64
	byRoot  map[cid.Cid]*list.Element // of *stagedDirectory, in its author's list
	authors map[peer.ID]*authorShare
}

type stagedDirectory struct {
	dir    unixfs.Directory
	author peer.ID
	size   int64
}

// authorShare is what one author has staged.
type authorShare struct {
	bytes int64
	byAge list.List // of *stagedDirectory, the oldest first
}

// stagedOverhead is about what a staged directory takes beyond its blocks' bytes.
const stagedOverhead = 1 << 10

func newStaging(total, perAuthor int64) *staging {
	return &staging{
		total: total, perAuthor: perAuthor,
		byRoot:  map[cid.Cid]*list.Element{},
		authors: map[peer.ID]*authorShare{},
	}
}

// add stages a directory. One that is staged already stays with its first author, who alone pays for it.
func (s *staging) add(author peer.ID, d unixfs.Directory) {
	size := int64(d.Size()) + stagedOverhead
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byRoot[d.Root()] != nil || size > s.perAuthor || size > s.total {
		return
	}
	for share := s.authors[author]; share != nil && share.bytes+size > s.perAuthor; share = s.authors[author] {
		s.remove(share.byAge.Front())
	}
	for s.bytes+size > s.total {
		s.remove(s.largest().byAge.Front())
	}
	share := s.authors[author]
	if share == nil {
		share = &authorShare{}
		s.authors[author] = share
	}
	s.byRoot[d.Root()] = share.byAge.PushBack(&stagedDirectory{dir: d, author: author, size: size})
	share.bytes += size
	s.bytes += size
}

// largest is the share of the author that has the most; there is one. The lock is held. Authors are members: not many.
func (s *staging) largest() (most *authorShare) {
	for _, share := range s.authors {
		if most == nil || share.bytes > most.bytes {
			most = share
		}
	}
	return most
}

// get finds a staged directory and leaves it staged: it may yet fail to be written.
func (s *staging) get(root cid.Cid) (unixfs.Directory, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byRoot[root]
	if e == nil {
		return unixfs.Directory{}, false
	}
	return e.Value.(*stagedDirectory).dir, true
}

// drop forgets the directories.
func (s *staging) drop(roots []cid.Cid) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, root := range roots {
		if e := s.byRoot[root]; e != nil {
			s.remove(e)
		}
	}
}

// size is what is staged, in bytes.
func (s *staging) size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

// remove takes an element of an author's list out. The lock is held.
func (s *staging) remove(e *list.Element) {
	staged := e.Value.(*stagedDirectory)
	delete(s.byRoot, staged.dir.Root())
	s.bytes -= staged.size
	share := s.authors[staged.author]
	share.byAge.Remove(e)
	if share.bytes -= staged.size; share.byAge.Len() == 0 {
		delete(s.authors, staged.author)
	}
}
