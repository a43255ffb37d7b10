package console

import (
	"context"
	"time"

	"github.com/serviceledger/slnode/taxii"
)

// Access is who may use the node.
type Access interface {
	// Accesses lists accounts, API keys and logins.
	Accesses(ctx context.Context, by By) (Accesses, error)
	AddAccount(ctx context.Context, by By, user, password, role string, limits *taxii.Limits) error
	// ChangeAccount changes what is not nil or empty.
	ChangeAccount(ctx context.Context, by By, user string, c AccountChange) error
	RemoveAccount(ctx context.Context, by By, user string) error
	// AddKey makes an API key and gives its secret, which is kept nowhere.
	AddKey(ctx context.Context, by By, name, role string, days int, limits *taxii.Limits) (secret string, err error)
	RemoveKey(ctx context.Context, by By, name string) error
	// EndLogin ends a login by its id.
	EndLogin(ctx context.Context, by By, id string) error
}

// Accesses is who may use a node.
type Accesses struct {
	Accounts    []Account
	Keys        []APIKey
	Logins      []Login
	Collections []Collection // that access can be limited to
}

// Account is one of a person.
type Account struct {
	User, Role   string
	Created      time.Time
	Limited      bool
	Read, Write  []string // titles of collections, where it is limited
	Certificates []string // SHA-256 in hex
	Self         bool     // it is who asks
}

// APIKey lets a machine in.
type APIKey struct {
	Name, Role  string
	Created     time.Time
	Expires     time.Time // zero: never
	Expired     bool
	Limited     bool
	Read, Write []string
}

// Login is one that lasts.
type Login struct {
	ID, User         string
	Created, Expires time.Time
}

// AccountChange is what is to be another way with an account.
type AccountChange struct {
	Password, Role                    string
	Limits                            *taxii.Limits // with nil lists: none any more
	AddCertificate, RemoveCertificate string
}

type accessModel struct {
	Accesses
	NewKey, Secret string
}

func (c *Console) getAccess(v *visit) error {
	all, err := c.Rooms.Access.Accesses(v.r.Context(), v.by())
	if err != nil {
		return err
	}
	return v.render("access", accessModel{Accesses: all})
}

func (c *Console) postAccess(v *visit) error {
	ctx, by, room, user := v.r.Context(), v.by(), c.Rooms.Access, v.form.Get("user")
	done, err := "saved", error(nil)
	switch v.form.Get("do") {
	case "add-account":
		done, err = "made", room.AddAccount(ctx, by, user, v.form.Get("password"), v.form.Get("role"), v.limits())
	case "role":
		err = room.ChangeAccount(ctx, by, user, AccountChange{Role: v.form.Get("role")})
	case "password":
		err = room.ChangeAccount(ctx, by, user, AccountChange{Password: v.form.Get("password")})
	case "limits":
		limits := v.limits()
		if limits == nil {
			limits = &taxii.Limits{}
		}
		err = room.ChangeAccount(ctx, by, user, AccountChange{Limits: limits})
	case "add-certificate":
		err = room.ChangeAccount(ctx, by, user, AccountChange{AddCertificate: v.form.Get("certificate")})
	case "remove-certificate":
		err = room.ChangeAccount(ctx, by, user, AccountChange{RemoveCertificate: v.form.Get("certificate")})
	case "remove-account":
		done, err = "ended", room.RemoveAccount(ctx, by, user)
	case "add-key":
		return c.addKey(v)
	case "remove-key":
		done, err = "ended", room.RemoveKey(ctx, by, v.form.Get("name"))
	case "end-login":
		done, err = "ended", room.EndLogin(ctx, by, v.form.Get("id"))
	default:
		err = errUnknownForm
	}
	if err != nil {
		return err
	}
	return v.see("access?done=" + done)
}

// limits are the collections that a form restricts to; nil if it doesn't.
func (v *visit) limits() *taxii.Limits {
	if v.form.Get("limited") == "" {
		return nil
	}
	// Never nil lists: those restrict nothing.
	return &taxii.Limits{Read: append([]string{}, v.form["read"]...), Write: append([]string{}, v.form["write"]...)}
}

// keyDays are for how long a key can be good.
var keyDays = map[string]int{"30": 30, "90": 90, "365": 365, "": 0}

// addKey shows the secret of a new key, in the answer to the form alone: no address leads to it.
func (c *Console) addKey(v *visit) error {
	called := v.form.Get("name")
	days, known := keyDays[v.form.Get("days")]
	if !known {
		return errUnknownForm
	}
	secret, err := c.Rooms.Access.AddKey(v.r.Context(), v.by(), called, v.form.Get("role"), days, v.limits())
	if err != nil {
		return err
	}
	all, err := c.Rooms.Access.Accesses(v.r.Context(), v.by())
	if err != nil {
		return err
	}
	return v.render("access", accessModel{Accesses: all, NewKey: called, Secret: secret})
}
