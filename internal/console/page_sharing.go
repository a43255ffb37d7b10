package console

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/serviceledger/slnode/taxii"
)

// Sharing is who shares what with whom: collections and members. What changes something returns when it is on the
// chain; begun says that it is only on its way there, which a publication that waits can make long.
type Sharing interface {
	// Collections lists those that somebody may read or write.
	Collections(ctx context.Context, by By) ([]Collection, error)
	// Collection tells of one, by its id, with its history, the latest first.
	Collection(ctx context.Context, by By, id string) (Collection, []CollectionChange, error)
	CreateCollection(ctx context.Context, by By, c NewCollection) (id string, begun bool, err error)
	// Grant lets organisations read: "now" what comes, "all" what there is, too.
	Grant(ctx context.Context, by By, id string, names []string, from string, contribute bool) (begun bool, err error)
	Revoke(ctx context.Context, by By, id string, names []string) (begun bool, err error)
	// RenewKey begins a key epoch for the same readers.
	RenewKey(ctx context.Context, by By, id string) (begun bool, err error)
	SetCollection(ctx context.Context, by By, id string, title, alias, description, level string) (begun bool, err error)

	// Members lists those of the consortium, present ones first.
	Members(ctx context.Context, by By) (Membership, error)
	// ReadRequest reads a request for admission.
	ReadRequest(request string) (AdmissionRequest, error)
	// PriceOfAdmission tells what it would cost to admit who made a request. It is an error of the input if that can't
	// be done now.
	PriceOfAdmission(ctx context.Context, request string) (AdmissionPrice, error)
	// Admit admits who made a request, and gives the invite for them. Where the governor is several accounts, it gives
	// the proposal that they sign.
	Admit(ctx context.Context, by By, request string) (file File, begun bool, err error)
	// RemoveMember ends a membership. Where the governor is several accounts, it gives a proposal, too.
	RemoveMember(ctx context.Context, by By, name string) (proposal File, begun bool, err error)
}

// File is one to be saved. Its data is nil if there is none.
type File struct {
	Name string
	Data []byte
}

// Collection is one that this organisation knows.
type Collection struct {
	ID, Alias, Title, Description string
	Owner                         string
	Own, Default, Former, AdHoc   bool
	Write                         bool
	Everybody                     bool     // every member reads it
	Readers                       []string // beside the owner
	Contributors                  []string
	Level                         string // of objects without a marking
	Epoch                         uint32 // of its key
	Since                         uint64 // the round in which that began
	Changed                       time.Time
	Others                        []string // members that are no readers
	CostMicroalgo                 uint64   // of one record about it
}

// CollectionChange is one step of a collection's history.
type CollectionChange struct {
	At             time.Time
	Round          uint64
	What           string
	Epoch          uint32
	Added, Removed []string
	By             string
	TxID           string
}

// NewCollection is what a collection is to be.
type NewCollection struct {
	Title, Alias, Description, Level string
	Everybody                        bool // shall read it
	Readers                          []string
	Contribute                       bool // the readers may publish in it
}

// Membership is who belongs to the consortium.
type Membership struct {
	Consortium string
	Governor   string
	Governs    bool // this organisation may admit and remove
	Members    []Member
}

// Member is one organisation.
type Member struct {
	Name, Title, Account, Peer string
	Self, Connected, Known     bool
	Admitted, Removed          uint64 // rounds
	Problem                    string // why it can't be reached
	Missing                    int    // numbers of its transactions that the chain should have shown
	Last                       time.Time
	LastWhat                   string
	Addresses                  []string
	Collections                []Collection // that it owns or reads
}

// AdmissionRequest is who asks to be admitted.
type AdmissionRequest struct{ Organisation, Title, Account, Peer string }

// AdmissionPrice is what an admission costs, in microalgo. Where the governor is several accounts, the governor's one
// pays for the membership.
type AdmissionPrice struct{ Fees, Locked, Governor uint64 }

// Ours is what this organisation's account pays.
func (p AdmissionPrice) Ours() uint64 { return p.Fees + p.Locked }

type collectionsModel struct {
	List    []Collection
	Members []Member
	Cost    uint64
}

func (c *Console) getCollections(v *visit) error {
	list, err := c.Rooms.Sharing.Collections(v.r.Context(), v.by())
	if err != nil {
		return err
	}
	model := collectionsModel{List: list}
	for _, one := range list {
		model.Cost = max(model.Cost, one.CostMicroalgo)
	}
	if v.administers() {
		all, err := c.Rooms.Sharing.Members(v.r.Context(), v.by())
		if err != nil {
			return err
		}
		model.Members = slices.DeleteFunc(all.Members, func(m Member) bool { return m.Self || m.Removed > 0 })
	}
	return v.render("collections", model)
}

func (c *Console) postCollections(v *visit) error {
	id, begun, err := c.Rooms.Sharing.CreateCollection(v.r.Context(), v.by(), NewCollection{
		Title: v.form.Get("title"), Alias: v.form.Get("alias"), Description: v.form.Get("description"), Level: v.form.Get("level"),
		Everybody: v.form.Get("everybody") != "", Readers: v.form["reader"], Contribute: v.form.Get("contribute") != "",
	})
	switch {
	case err != nil:
		return err
	case begun || id == "":
		return v.see("collections?done=begun")
	}
	return v.see(link("collection", "id", id, "done", "made"))
}

type collectionModel struct {
	Collection
	History []CollectionChange
}

func (c *Console) getCollection(v *visit) error {
	one, history, err := c.Rooms.Sharing.Collection(v.r.Context(), v.by(), v.query("id"))
	if err != nil {
		return err
	}
	return v.renderAs("collection", name(one.Title), collectionModel{Collection: one, History: history})
}

func (c *Console) postCollection(v *visit) error {
	id, names := v.query("id"), v.form["name"]
	ctx, by, room := v.r.Context(), v.by(), c.Rooms.Sharing
	var (
		begun bool
		err   error
		did   string
	)
	switch v.form.Get("do") {
	case "grant":
		did = "granted"
		begun, err = room.Grant(ctx, by, id, names, v.form.Get("from"), v.form.Get("contribute") != "")
	case "revoke":
		did = "revoked"
		begun, err = room.Revoke(ctx, by, id, names)
	case "renew":
		did = "renewed"
		begun, err = room.RenewKey(ctx, by, id)
	case "set":
		did = "saved"
		begun, err = room.SetCollection(ctx, by, id, v.form.Get("title"), v.form.Get("alias"), v.form.Get("description"), v.form.Get("level"))
	default:
		return errUnknownForm
	}
	if err != nil {
		return err
	}
	if begun {
		did = "begun"
	}
	return v.see(link("collection", "id", id, "done", did))
}

// errUnknownForm is for a form that no page has.
var errUnknownForm = &taxii.InvalidError{Reason: "There is no such form."}

type membersModel struct {
	Membership
	Drawing *Drawing
	Asked   *AdmissionRequest // who is to be admitted, to be confirmed
	Request string
	Price   *AdmissionPrice // nil: it is not known
	Wrong   string          // why it can't be done now, or what it costs is not known
	Refused bool            // … it can't be done
}

func (c *Console) getMembers(v *visit) error {
	all, err := c.Rooms.Sharing.Members(v.r.Context(), v.by())
	if err != nil {
		return err
	}
	return v.render("members", membersModel{Membership: all, Drawing: connections(all.Members)})
}

func (c *Console) postMembers(v *visit) error {
	request := strings.TrimSpace(v.form.Get("request"))
	asked, err := c.Rooms.Sharing.ReadRequest(request)
	if err != nil {
		return err
	}
	all, err := c.Rooms.Sharing.Members(v.r.Context(), v.by())
	if err != nil {
		return err
	}
	if v.form.Get("do") != "admit" {
		return v.render("members", c.admission(v, membersModel{Membership: all, Asked: &asked, Request: request}))
	}
	file, begun, err := c.Rooms.Sharing.Admit(v.r.Context(), v.by(), request)
	switch {
	case err != nil:
		return err
	case file.Data != nil:
		return v.save(file)
	case begun:
		return v.see("members?done=begun")
	}
	return v.see(link("member", "name", asked.Organisation, "done", "admitted"))
}

// admission adds what it costs to admit somebody. That it is not known is no reason not to.
func (c *Console) admission(v *visit, model membersModel) membersModel {
	price, err := c.Rooms.Sharing.PriceOfAdmission(v.r.Context(), model.Request)
	var invalid *taxii.InvalidError
	switch {
	case errors.As(err, &invalid):
		model.Wrong, model.Refused = invalid.Reason, true
	case err != nil:
		model.Wrong = v.lacks("price", err)
	default:
		model.Price = &price
	}
	return model
}

type memberModel struct {
	Member
	Governs bool
	Card    *cardModel // nil: it is this organisation, or a member no more
}

// member finds one by its name.
func (c *Console) member(v *visit) (memberModel, error) {
	all, err := c.Rooms.Sharing.Members(v.r.Context(), v.by())
	if err != nil {
		return memberModel{}, err
	}
	i := slices.IndexFunc(all.Members, func(m Member) bool { return m.Name == v.query("name") })
	if i < 0 {
		return memberModel{}, taxii.ErrNotFound
	}
	return memberModel{Member: all.Members[i], Governs: all.Governs}, nil
}

func (c *Console) getMember(v *visit) error {
	model, err := c.member(v)
	if err != nil {
		return err
	}
	if !model.Self && model.Removed == 0 {
		model.Card = c.card(v, model.Name)
	}
	return v.renderAs("member", name(model.Name), model)
}

func (c *Console) postMember(v *visit) error {
	model, err := c.member(v)
	switch {
	case err != nil:
		return err
	case v.form.Get("do") == "rate":
		return c.rate(v, model.Name)
	case v.form.Get("do") != "remove":
		return errUnknownForm
	case v.form.Get("name") != model.Name:
		return &taxii.InvalidError{Reason: "Nothing was done: the name that was typed is not that of the member."}
	}
	proposal, begun, err := c.Rooms.Sharing.RemoveMember(v.r.Context(), v.by(), model.Name)
	switch {
	case err != nil:
		return err
	case proposal.Data != nil:
		return v.save(proposal)
	case begun:
		return v.see("members?done=begun")
	}
	return v.see("members?done=removed")
}

// save has the browser save a file.
func (v *visit) save(file File) error {
	header := v.w.Header()
	header.Set("Content-Type", "application/octet-stream")
	header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": file.Name}))
	v.w.WriteHeader(http.StatusOK)
	_, _ = v.w.Write(file.Data) // the browser has gone
	return nil
}
