package node

import (
	"errors"

	"github.com/serviceledger/slnode/taxii"
)

// clientError shows a mistake of the client's to it.
func clientError(err error) error {
	var input *InputError
	if errors.As(err, &input) {
		return &taxii.InvalidError{Reason: input.Error()}
	}
	return err
}

// InputError is a mistake in what the caller gave.
type InputError struct{ error }

func (e *InputError) Unwrap() error { return e.error }

// input makes an error one of what the caller gave.
func input(err error) error { return &InputError{err} }
