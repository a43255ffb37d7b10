package node

import (
	"errors"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

// now is the time as it is kept: UTC, in microseconds.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// authError says in the server's words that a credential is wrong.
func authError(err error) error {
	if errors.Is(err, repo.ErrCredentials) {
		return taxii.ErrUnauthorized
	}
	return err
}

// clientError shows a mistake of the client's to it.
func clientError(err error) error {
	var input *InputError
	if errors.As(err, &input) {
		return &taxii.InvalidError{Reason: input.Error()}
	}
	return err
}

// takenError says in the server's words that an account is there already: the one of that name or, for who comes first,
// any at any time.
func takenError(err error, first bool) error {
	switch {
	case !errors.Is(err, repo.ErrTaken):
		return err
	case first:
		return fmt.Errorf("%w: this node has let somebody in before; its administrators make further accounts, or its operator with \"slnode account add\"", taxii.ErrConflict)
	}
	return fmt.Errorf("%w: the name is taken", taxii.ErrConflict)
}
