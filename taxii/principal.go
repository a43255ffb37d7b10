package taxii

import (
	"context"
	"fmt"
	"time"
)

// Role is what an account may do on its node; each includes the ones before.
type Role uint8

const (
	RoleNone      Role = iota // nobody, the role of the zero Principal
	RoleReader                // reads the collections that are open to it
	RolePublisher             // also adds objects
	RoleAdmin                 // also signs up users
)

// String returns the name that the accounts API uses.
func (r Role) String() string {
	switch r {
	case RoleReader:
		return "reader"
	case RolePublisher:
		return "publisher"
	case RoleAdmin:
		return "admin"
	}
	return "none"
}

// ParseRole is the inverse of [Role.String]. It also takes "user", the first Service Ledger's word for a publisher.
func ParseRole(s string) (Role, error) {
	switch s {
	case "reader":
		return RoleReader, nil
	case "publisher", "user":
		return RolePublisher, nil
	case "admin":
		return RoleAdmin, nil
	}
	return RoleNone, fmt.Errorf("unknown role %.40q: it is reader, publisher or admin", s)
}

// Principal is who makes a request. The zero Principal is somebody who
// presented no credentials; only discovery is asked for on its behalf.
type Principal struct {
	User, Org  string
	Role       Role
	Limits     Limits
	Credential string // what it presented: the kind, and what names it in lists; for the audit log
	// Who it is on the machine of the node, and who had logged in there, where the kernel tells; for the audit log.
	UnixUser, LoginUser string
}

// Authenticator tells who a credential belongs to.
type Authenticator interface {
	// Password checks a user's password. It returns ErrUnauthorized if the user is unknown or the password is wrong,
	// without a difference in time that would tell which, and *RetryAfterError when it limits attempts itself (the server
	// does already). It may be slow: results are cached.
	Password(ctx context.Context, user, password string) (Principal, error)

	// Token checks an opaque bearer token or API key, which is called for on every request that carries one and must be
	// fast. It returns ErrUnauthorized if the token is unknown, revoked or expired.
	Token(ctx context.Context, token string) (Principal, error)
}

// CertificateAuthenticator is an [Authenticator] that knows client certificates.
type CertificateAuthenticator interface {
	// Certificate tells who the certificate with this SHA-256 stands for. ErrUnauthorized if it is not known. It is called
	// for on every request that carries one and no other credential, and must be fast.
	Certificate(ctx context.Context, fingerprint [32]byte) (Principal, error)
}

// Accounts is what the /v1 endpoints act on. A change or removal of an
// account by any way must be followed by [Handler.Forget].
type Accounts interface {
	// SignupAdmin makes the node's first account. It returns ErrConflict if the node has its administrator already or
	// s.Org is not this node's organisation, *InvalidError if user or password will not do.
	SignupAdmin(ctx context.Context, s SignUp) (Organisation, Account, error)

	// SignupUser makes a further account. It returns ErrForbidden unless by is an administrator of s.Org, ErrConflict if
	// the name is taken, *InvalidError if user or password will not do.
	SignupUser(ctx context.Context, by Principal, s SignUp) (Account, error)

	// Login trades a password for a new token. Errors are those of [Authenticator.Password].
	Login(ctx context.Context, user, password string) (Session, error)

	// Logout ends a token. To end one that is unknown is no error.
	Logout(ctx context.Context, token string) error

	// Organisation describes the one that owns the node. ErrNotFound if it has another name.
	Organisation(ctx context.Context, name string) (Organisation, error)

	// Users lists the names of the accounts. by is an administrator.
	Users(ctx context.Context, by Principal) ([]string, error)

	// RemoveUser removes an account. ErrNotFound if there is none of the name,
	// ErrConflict if it is the last administrator's. by is an administrator.
	RemoveUser(ctx context.Context, by Principal, user string) error
}

// MaxAccountField bounds the names and passwords of accounts, in bytes.
const MaxAccountField = 256

// SignUp asks for an account. Its fields come from a client: each is 1 to MaxAccountField bytes of UTF-8, User holds no
// colon, and nothing more is known of them.
type SignUp struct {
	Org, User, Password string
	Role                Role
}

// Organisation is the one that owns the node.
type Organisation struct {
	Name    string
	Address string // of the Algorand account that signs and pays; empty if there is none yet
}

// Account is one user of the node.
type Account struct {
	User, Org string
	ID        string // UUID
	Role      Role
	Created   time.Time
}

// Session is a login: a token and until when it is good.
type Session struct {
	Token   string
	Expires time.Time
	Account Account
}
