package problem

import (
	"errors"

	"github.com/serviceledger/slnode/taxii"
)

// ForClient shows a mistake of the client's to it.
func ForClient(err error) error {
	var input *InputError
	if errors.As(err, &input) {
		return &taxii.InvalidError{Reason: input.Error()}
	}
	return err
}

// InputError is a mistake in what the caller gave.
type InputError struct{ error }

func (e *InputError) Unwrap() error { return e.error }

// Input makes an error one of what the caller gave.
func Input(err error) error { return &InputError{err} }
