package stix

import "errors"

// Audience is who can read what is published to a collection.
type Audience struct {
	Growing bool // it takes in new readers by itself
	Readers int  // organisations that are named as readers, other than the publisher
	AdHoc   bool // it was made for the named recipients of single objects
	Foreign bool // it is another organisation's, which reads it and says who else does
}

// How an object that too many would read finds fewer readers.
const (
	nameReaders = `"slnode publish --to ORGANISATION" names them for the object`
	makeOne     = `"slnode collection create TITLE --readers ORGANISATION" makes a collection for them`
)

// Permits returns nil if an object of a level may go to an audience, else an error whose
// text says why not and what to do, in words that a name of the collection can precede or follow.
func Permits(level Level, a Audience) error {
	switch level {
	case Clear, Green:
		return nil
	case Amber:
		if a.Growing {
			return errors.New("TLP:AMBER needs an audience of named members, which does not grow by itself: " + nameReaders + ", " + makeOne)
		}
		return nil
	case AmberStrict:
		if a.Growing || a.Readers > 0 || a.Foreign {
			return errors.New(`TLP:AMBER+STRICT must not leave the organisation: nobody else may be a reader; "slnode collection create TITLE" makes a collection without any`)
		}
		return nil
	case Red:
		if a.Growing || !a.AdHoc || a.Foreign {
			return errors.New("TLP:RED needs recipients that are named for the object by its publisher: " + nameReaders)
		}
		return nil
	}
	return errors.New("the object has no TLP level")
}
