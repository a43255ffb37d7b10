package disclosure

import (
	"cmp"
	"encoding/json"

	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/outbox"
)

// Description is what an operator wants to know of a publication beside what it is.
type Description struct {
	Name  string `json:"name,omitempty"` // of the object: its name, or its value; "" where it is not in the view
	Level string `json:"tlp,omitempty"`
	Readers
	Withdrawn *Withdrawn `json:"withdrawn,omitempty"`
	Note      string     `json:"note,omitempty"` // what is not known, and why
}

// Describer describes publications, of whichever member, as they are when it is called.
func (r *Register) Describer() func(name wire.Publication) (Description, error) {
	w := &walk{Register: r, audiences: map[string]*audience{}, markings: map[string]*state.Markings{}}
	return w.describe
}

func (w *walk) describe(name wire.Publication) (d Description, err error) {
	d.Readers = Readers{Then: []string{}, Now: []string{}}
	e, found, err := w.View.Published(name)
	if err != nil || !found {
		return d, err
	}
	var item *outbox.Item
	if w.State.Ours(e.Sender) {
		one, known, err := w.Outbox.Published(name)
		if err != nil {
			return d, err
		}
		item = published(one, known)
	}
	w.visit = func(o Object) error {
		d.Level, d.Readers, d.Withdrawn, d.Note = o.Level, o.Readers, o.Withdrawn, o.Note
		return nil
	}
	if err := w.object(e, item, 1); err != nil {
		return d, err
	}
	entry, err := w.View.Entry(e)
	if err != nil || entry == nil {
		return d, err
	}
	d.Name = nameOf(entry.Object)
	return d, nil
}

// nameOf is what people call an object; "" where it has no such property.
func nameOf(object []byte) string {
	var said struct {
		Name  any `json:"name"`
		Value any `json:"value"`
	}
	if json.Unmarshal(object, &said) != nil {
		return ""
	}
	name, _ := said.Name.(string)
	value, _ := said.Value.(string)
	return cmp.Or(name, value)
}
