package seal

import (
	"bytes"
	"strings"
	"testing"
)

// An epoch key is 64 lower-case hexadecimal digits, and nothing near it.
func TestWhatIsNearAnEpochKeyIsNone(t *testing.T) {
	good := newEpoch(t).Secret()
	for what, text := range map[string]string{
		"one byte less": good[2:], "one byte more": good + "00", "half a byte": good[1:], "capitals": strings.ToUpper(strings.Repeat("ab", 32)),
		"no hexadecimal": strings.Repeat("xy", 32), "nothing": "", "a space": good + " ",
	} {
		if key, err := ParseEpochKey(text); err == nil || key != nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%s is read (%v)", what, err)
		}
	}
	if again, err := ParseEpochKey(good); err != nil || again.Secret() != good {
		t.Errorf("what was written is not read: %v", err)
	}
}

// Keys are the same if their secrets are; no key is the same as no key alone.
func TestWhichEpochKeysAreTheSame(t *testing.T) {
	a, b := newEpoch(t), newEpoch(t)
	again := must[*EpochKey](t)(ParseEpochKey(a.Secret()))
	var none *EpochKey
	if !a.Equal(a) || !a.Equal(again) || !none.Equal(nil) || a.Equal(b) || a.Equal(nil) || none.Equal(a) {
		t.Error("keys are compared wrongly")
	}
}

// An identity has the fingerprint of all the keys that it opens with.
func TestAFingerprintIsOfAllKeysOfAnIdentity(t *testing.T) {
	a, b := must[*Identity](t)(NewIdentity()), must[*Identity](t)(NewIdentity())
	prints := [][]byte{a.Fingerprint(), b.Fingerprint(), a.With(b).Fingerprint(), b.With(a).Fingerprint()}
	for i := range prints {
		for j := range i {
			if bytes.Equal(prints[i], prints[j]) {
				t.Errorf("the identities %d and %d have the same", i, j)
			}
		}
	}
	if !bytes.Equal(a.With(b).Fingerprint(), a.With(b).Fingerprint()) || !bytes.Equal(a.Fingerprint(), must[*Identity](t)(ParseIdentity(a.Secret())).Fingerprint()) {
		t.Error("the same keys have different ones")
	}
}

// Nothing is sealed to somebody who is none, nor to nobody, nor to more than there may be.
func TestAKeyringIsSealedToRecipientsAlone(t *testing.T) {
	good := must[*Identity](t)(NewIdentity()).Recipient()
	for what, recipients := range map[string][]string{"nobody": nil, "a name": {"age1"}, "one who is none": {good, "x"}, "too many": make([]string, MaxRecipients+1)} {
		if sealed, err := SealTo(recipients, []byte("secret")); err == nil || sealed != nil {
			t.Errorf("it is sealed to %s", what)
		}
	}
	if CheckRecipient(good) != nil || CheckRecipient(good[1:]) == nil || CheckRecipient("") == nil {
		t.Error("a recipient is taken for none, or what is none for one")
	}
}
