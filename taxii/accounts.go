package taxii

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// The accounts API keeps the paths and the shapes of the first Service
// Ledger's, whose clients use it unchanged; it answers 200 where they expect
// it. Secrets of the node are in none of its answers.

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
	Algorand *algorandResource `json:"algorand,omitempty"`
}

type algorandResource struct {
	Address string `json:"account_address"`
}

type entityResource struct {
	Name     string           `json:"name"`
	Metadata metadataResource `json:"metadata"`
	Created  string           `json:"creation_time,omitempty"`
}

type metadataResource struct {
	Organisation string `json:"organisation"`
	Role         string `json:"role"`
}

type loginResource struct {
	entityResource
	Token   string `json:"sl_token"`
	Expires string `json:"expires_at"`
}

func (a Account) resource() entityResource {
	return entityResource{
		Name:     a.User,
		Metadata: metadataResource{Organisation: a.Org, Role: a.Role.String()},
		Created:  formatOptional(a.Created),
	}
}

// account serves a resource of the accounts API that needs credentials.
func (h *Handler) account(m methods) endpoint {
	return func(x *exchange) error {
		x.accounts = true
		if err := h.authenticate(x); err != nil {
			return err
		}
		return m.serve(x)
	}
}

// entrance serves a resource of the accounts API for those who have no
// credentials yet.
func entrance(m methods) endpoint {
	return func(x *exchange) error {
		x.accounts = true
		return m.serve(x)
	}
}

func (h *Handler) postLogin(x *exchange) error {
	request, err := h.readAccount(x)
	if err != nil {
		return err
	}
	var session Session
	err = h.gate.attempt(x.r.Context(), request.Username, clientAddress(x.r), func(ctx context.Context) (err error) {
		session, err = h.accounts.Login(ctx, request.Username, request.Password)
		return err
	})
	if err != nil {
		return err
	}
	x.who.User = session.Account.User // for the log
	return h.sendJSON(x, http.StatusOK, "application/json", loginResource{
		entityResource: session.Account.resource(),
		Token:          session.Token,
		Expires:        session.Expires.UTC().Format(time.RFC3339),
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
	err = h.gate.attempt(x.r.Context(), request.Username, clientAddress(x.r), func(ctx context.Context) (err error) {
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
	resource := signupResource{
		Organisation: &organisationResource{Name: organisation.Name},
		Entity:       account.resource(),
	}
	if organisation.Address != "" {
		resource.Organisation.Algorand = &algorandResource{Address: organisation.Address}
	}
	return h.sendJSON(x, http.StatusOK, "application/json", resource)
}

// postSignupUser makes a further account, on an administrator's behalf. It is
// a publisher unless the request asks for another role.
func (h *Handler) postSignupUser(x *exchange) error {
	if x.who.Role != RoleAdmin {
		return ErrForbidden
	}
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
	return h.sendJSON(x, http.StatusOK, "application/json", signupResource{Entity: account.resource()})
}

// maxAccountBody bounds the body of a request under /v1, in bytes.
const maxAccountBody = 16 << 10

// readAccount reads and checks the body of a request under /v1.
func (h *Handler) readAccount(x *exchange) (accountRequest, error) {
	var request accountRequest
	// A web page of another site can send forms and plain text, but not this.
	if !isJSON(x.r.Header.Get("Content-Type")) {
		return request, problemf(http.StatusUnsupportedMediaType, "The body's Content-Type is not application/json.")
	}
	body := http.MaxBytesReader(x.w, x.r.Body, maxAccountBody)
	if err := json.UnmarshalRead(body, &request); err != nil {
		return request, problemf(http.StatusBadRequest, "The body is not a JSON object with username and password as strings, of at most %d bytes.", maxAccountBody)
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
