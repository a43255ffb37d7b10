package taxii

import (
	"context"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// The accounts API keeps the paths and the shapes of the first Service Ledger's, whose clients use it unchanged; it
// answers 200 where they expect it. Secrets of the node are in none of its answers.
//
// That one kept accounts in a HashiCorp Vault. Its answers tell of Vault's groups and policies, which mean nothing here
// but are there for clients that read them into types.

// accountRequest is the body of the requests under /v1.
type accountRequest struct {
	OrgName  string `json:"org_name"`
	Username string `json:"username"`
	Password string `json:"password"`
	Role     string `json:"role"`
	// The first Service Ledger imported an account of the chain this way.
	Mnemonic string `json:"algorand_account_mnemonic"`
}

type signupResource struct {
	Organisation *organisationResource `json:"organisation,omitempty"`
	Entity       entityResource        `json:"entity"`
}

type organisationResource struct {
	Name     string            `json:"name"`
	ID       string            `json:"id"`
	Created  string            `json:"creation_time,omitempty"`
	Policies []string          `json:"policies"`
	Vault    messageResource   `json:"vault"`
	Algorand *algorandResource `json:"algorand,omitempty"`
}

type messageResource struct {
	Message string `json:"message"`
}

type algorandResource struct {
	Address string `json:"account_address"`
}

type algoAccountResource struct {
	Algorand algorandResource `json:"algorand"`
}

type entityResource struct {
	Name     string           `json:"name"`
	ID       string           `json:"id"`
	Metadata metadataResource `json:"metadata"`
	Role     string           `json:"role"` // in this node's words
	Policies []string         `json:"policies,omitempty"`
	Created  string           `json:"creation_time,omitempty"`
	GroupIDs []string         `json:"group_ids,omitempty"`
}

type metadataResource struct {
	Organisation string `json:"organisation"`
	Role         string `json:"role"` // in the first Service Ledger's words
}

type loginResource struct {
	Name     string           `json:"name"`
	ID       string           `json:"id"`
	Metadata metadataResource `json:"metadata"`
	Role     string           `json:"role"`
	Token    string           `json:"sl_token"`
	Expires  string           `json:"expires_at"`
}

type usersResource struct {
	Users []string `json:"users"`
}

type removalResource struct {
	Organisation removedResource `json:"organisation"`
}

type removedResource struct {
	Name           string          `json:"name"`
	Authentication messageResource `json:"authentication"`
	Entity         messageResource `json:"entity"`
}

// groupID is the id of an organisation where answers have one.
func groupID(org string) string { return uuid.NewSHA1(uuid.Nil, []byte(org)).String() }

// formerRole is the first Service Ledger's word for a role. It had no readers.
func formerRole(r Role) string {
	if r == RolePublisher {
		return "user"
	}
	return r.String()
}

func (a Account) metadata() metadataResource {
	return metadataResource{Organisation: a.Org, Role: formerRole(a.Role)}
}

func (a Account) resource() entityResource {
	policies := []string{"default", a.Org + "-users", "sl-users"}
	if a.Role == RoleAdmin {
		policies = []string{"default", "sl-admins"}
	}
	return entityResource{
		Name:     a.User,
		ID:       a.ID,
		Metadata: a.metadata(),
		Role:     a.Role.String(),
		Policies: policies,
		Created:  formatOptional(a.Created),
		GroupIDs: []string{groupID(a.Org)},
	}
}

// account serves a resource of the accounts API that needs credentials.
func (h *Handler) account(m methods) endpoint {
	return func(x *exchange) error {
		x.accounts = true
		if err := h.authenticate(x); err != nil {
			return err
		}
		return m.serveIn(anyMedia, x)
	}
}

// administered serves a resource of the accounts API that is an administrator's of the organisation in the path.
func (h *Handler) administered(m methods) endpoint {
	return func(x *exchange) error {
		x.accounts = true
		if err := h.authenticate(x); err != nil {
			return err
		}
		if err := h.mayAdminister(x, x.variable("org")); err != nil {
			return err
		}
		return m.serveIn(anyMedia, x)
	}
}

// mayAdminister refuses who is no administrator of the organisation.
func (h *Handler) mayAdminister(x *exchange, org string) error {
	if x.who.Role != RoleAdmin || x.who.Org != org {
		return ErrForbidden
	}
	return nil
}

// entrance serves a resource of the accounts API for those who have no credentials yet.
func (h *Handler) entrance(m methods) endpoint {
	return func(x *exchange) error {
		x.accounts = true
		if err := h.gate.admit(x.r, Principal{}); err != nil {
			return err
		}
		return m.serveIn(anyMedia, x)
	}
}

func (h *Handler) postLogin(x *exchange) error {
	request, err := h.readAccount(x)
	if err != nil {
		return err
	}
	var session Session
	err = h.gate.login(x.r, request.Username, request.Password, func(ctx context.Context) (err error) {
		session, err = h.accounts.Login(ctx, request.Username, request.Password)
		return err
	})
	if err != nil {
		h.noteRefusal(x, request.Username, "password", err)
		return err
	}
	account := session.Account
	x.who.User = account.User // for the log
	h.note(x, Event{Name: EventLogin, Role: account.Role.String(), Credential: "password", Detail: "for a token"})
	return h.sendJSON(x, http.StatusOK, plainJSON, loginResource{
		Name:     account.User,
		ID:       account.ID,
		Metadata: account.metadata(),
		Role:     account.Role.String(),
		Token:    session.Token,
		Expires:  session.Expires.UTC().Format(time.RFC3339),
	})
}

// postLogout ends the token that the request carries.
func (h *Handler) postLogout(x *exchange) error {
	token := tokenOf(x.r)
	if token == "" {
		return problemf(http.StatusBadRequest, "There is no session to end: these credentials are not a token.")
	}
	if err := h.accounts.Logout(x.r.Context(), token); err != nil {
		return err
	}
	h.note(x, Event{Name: EventLogout})
	x.w.WriteHeader(http.StatusNoContent)
	return nil
}

// postSignupAdmin makes the node's first account, for who comes first.
func (h *Handler) postSignupAdmin(x *exchange) error {
	request, err := h.readAccount(x)
	if err != nil {
		return err
	}
	if request.OrgName == "" || len(request.OrgName) > MaxAccountField {
		return problemf(http.StatusUnprocessableEntity, "org_name must have 1 to %d bytes.", MaxAccountField)
	}
	var (
		organisation Organisation
		account      Account
	)
	err = h.gate.slowly(x.r.Context(), func(ctx context.Context) (err error) {
		organisation, account, err = h.accounts.SignupAdmin(ctx, SignUp{
			Org:      request.OrgName,
			User:     request.Username,
			Password: request.Password,
			Role:     RoleAdmin,
		})
		return err
	})
	if err != nil {
		return err
	}
	h.note(x, Event{Name: EventSignUp, User: account.User, Subject: account.User, Detail: account.Role.String()})
	resource := signupResource{
		Organisation: &organisationResource{
			Name:     organisation.Name,
			ID:       groupID(organisation.Name),
			Created:  formatOptional(account.Created),
			Policies: []string{organisation.Name},
			Vault:    messageResource{"The node keeps the organisation's keys in its repository"},
		},
		Entity: account.resource(),
	}
	if organisation.Address != "" {
		resource.Organisation.Algorand = &algorandResource{Address: organisation.Address}
	}
	return h.sendJSON(x, http.StatusOK, plainJSON, resource)
}

// postSignupUser makes a further account, on an administrator's behalf. It is
// a publisher unless the request asks for another role.
func (h *Handler) postSignupUser(x *exchange) error {
	request, err := h.readAccount(x)
	if err != nil {
		return err
	}
	role := RolePublisher
	if request.Role != "" {
		if role, err = ParseRole(request.Role); err != nil {
			return &InvalidError{Reason: err.Error()}
		}
	}
	account, err := h.accounts.SignupUser(x.r.Context(), x.who, SignUp{
		Org:      x.variable("org"),
		User:     request.Username,
		Password: request.Password,
		Role:     role,
	})
	if err != nil {
		return err
	}
	h.note(x, Event{Name: EventSignUp, Subject: account.User, Detail: account.Role.String()})
	return h.sendJSON(x, http.StatusOK, plainJSON, signupResource{Entity: account.resource()})
}

func (h *Handler) getUsers(x *exchange) error {
	users, err := h.accounts.Users(x.r.Context(), x.who)
	if err != nil {
		return err
	}
	return h.sendJSON(x, http.StatusOK, plainJSON, usersResource{Users: append([]string{}, users...)})
}

func (h *Handler) deleteUser(x *exchange) error {
	user := x.variable("username")
	if err := h.accounts.RemoveUser(x.r.Context(), x.who, user); err != nil {
		return err
	}
	h.note(x, Event{Name: EventRemoveUser, Subject: user})
	return h.sendJSON(x, http.StatusOK, plainJSON, removalResource{removedResource{
		Name:           x.variable("org"),
		Authentication: messageResource{"UserPass authentication revoked for user " + user},
		Entity:         messageResource{"Entity " + user + " deleted successfully"},
	}})
}

// getAlgoAccount tells the address of the organisation's account, and nothing else of it.
func (h *Handler) getAlgoAccount(x *exchange) error {
	organisation, err := h.accounts.Organisation(x.r.Context(), x.variable("org"))
	if err != nil {
		return err
	}
	return h.sendJSON(x, http.StatusOK, plainJSON, algoAccountResource{algorandResource{organisation.Address}})
}

// maxAccountBody bounds the body of a request under /v1, in bytes.
const maxAccountBody = 16 << 10

// plainJSON is the media type of what is not TAXII's.
const plainJSON = "application/json"

// readJSON reads a small body.
func readJSON(x *exchange, into any, what string) error {
	return readJSONOf(x, into, what, maxAccountBody)
}

// readJSONOf reads a body of up to so many bytes.
func readJSONOf(x *exchange, into any, what string, most int64) error {
	// A web page of another site can send forms and plain text, but not this.
	if !isJSON(x.r.Header.Get("Content-Type")) {
		return problemf(http.StatusUnsupportedMediaType, "The body's Content-Type is not application/json.")
	}
	body := http.MaxBytesReader(x.w, x.r.Body, most)
	if err := json.UnmarshalRead(withoutByteOrderMark(body), into); err != nil {
		return problemf(http.StatusBadRequest, "The body is not a JSON object with %s, of at most %d bytes.", what, most)
	}
	return nil
}

// readAccount reads and checks the body of a request under /v1.
func (h *Handler) readAccount(x *exchange) (accountRequest, error) {
	var request accountRequest
	if err := readJSON(x, &request, "username and password as strings"); err != nil {
		return request, err
	}
	switch {
	case request.Mnemonic != "":
		return request, problemf(http.StatusUnprocessableEntity, "This node has its own Algorand account and imports none over HTTP.")
	case request.Username == "", len(request.Username) > MaxAccountField, strings.Contains(request.Username, ":"):
		return request, problemf(http.StatusUnprocessableEntity, "username must have 1 to %d bytes and no colon.", MaxAccountField)
	case request.Password == "", len(request.Password) > MaxAccountField:
		return request, problemf(http.StatusUnprocessableEntity, "password must have 1 to %d bytes.", MaxAccountField)
	}
	return request, nil
}

// rootDigest is the id of an API root where the first Service Ledger's answers have one: it was the digest of the name.
func rootDigest(name string) string {
	id := uuid.NewSHA1(uuid.Nil, []byte(name))
	return hex.EncodeToString(id[:])
}
