package problem

import (
	"errors"

	"github.com/serviceledger/slnode/taxii"
)

// ForClient shows a mistake of the client's to it.
func ForClient(err error) error {
	var input *InputError
	if errors.As(err, &input) {
		return &taxii.InvalidError{Reason: input.Error(), Missing: errors.Is(err, ErrMissing)}
	}
	return err
}

// InputError is a mistake in what the caller gave.
type InputError struct{ error }

func (e *InputError) Unwrap() error { return e.error }

// Input makes an error one of what the caller gave.
func Input(err error) error { return &InputError{err} }

// ErrMissing marks a mistake of one kind: what the caller named is not there.
var ErrMissing = errors.New("not there")

// missing is an error that [errors.Is] ErrMissing, with no more words.
type missing struct{ error }

func (m missing) Is(target error) bool { return target == ErrMissing }

func (m missing) Unwrap() error { return m.error }

// Missing says that what the caller named is not there. It is an [InputError], too.
func Missing(err error) error { return &InputError{missing{err}} }
