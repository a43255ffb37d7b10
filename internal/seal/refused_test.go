package seal

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"filippo.io/age"
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

// handmade is a recipient that writes what it likes into the header.
type handmade struct{ stanzas []*age.Stanza }

func (h handmade) Wrap([]byte) ([]*age.Stanza, error) { return h.stanzas, nil }

// What has a file key only can't see whose it is: the form of the header is all there is to be looked at.
func TestAHeaderThatNoEpochKeyMakesIsOpenedByNothing(t *testing.T) {
	salt := func(n int) string { return base64.RawStdEncoding.EncodeToString(make([]byte, n)) }
	body := make([]byte, 32)
	for what, stanza := range map[string]age.Stanza{
		"of another type":                          {Type: "scrypt2", Args: []string{salt(16), "1"}, Body: body},
		"without arguments":                        {Type: "scrypt", Body: body},
		"with one argument":                        {Type: "scrypt", Args: []string{salt(16)}, Body: body},
		"with three arguments":                     {Type: "scrypt", Args: []string{salt(16), "1", "1"}, Body: body},
		"with much work":                           {Type: "scrypt", Args: []string{salt(16), "19"}, Body: body},
		"with another spelling":                    {Type: "scrypt", Args: []string{salt(16), "01"}, Body: body},
		"with a short salt":                        {Type: "scrypt", Args: []string{salt(15), "1"}, Body: body},
		"with a long salt":                         {Type: "scrypt", Args: []string{salt(17), "1"}, Body: body},
		"with a salt that is not":                  {Type: "scrypt", Args: []string{"!!!!!!!!!!!!!!!!!!!!!!", "1"}, Body: body},
		"with a salt that ends in bits of nothing": {Type: "scrypt", Args: []string{salt(16)[:21] + "B", "1"}, Body: body},
		"with a short body":                        {Type: "scrypt", Args: []string{salt(16), "1"}, Body: body[1:]},
		"with a long body":                         {Type: "scrypt", Args: []string{salt(16), "1"}, Body: append(body, 0)},
	} {
		sealed, err := encrypt([]byte("{}"), handmade{[]*age.Stanza{&stanza}})
		if err != nil {
			t.Fatal(err)
		}
		for with, open := range map[string]func() ([]byte, error){
			"a file key":   func() ([]byte, error) { return OpenWithFileKey(make([]byte, FileKeySize), sealed) },
			"an epoch key": func() ([]byte, error) { return newEpoch(t).Open(sealed) },
		} {
			if _, err := open(); err == nil || !strings.Contains(err.Error(), "sealed to no epoch key") {
				t.Errorf("one %s, with %s: %v", what, with, err)
			}
		}
	}
}

// … as a stanza for this very organisation is that was cut short on its way: it is not somebody else's.
func TestADamagedStanzaIsNotCalledAnothers(t *testing.T) {
	mine := newOrganisation(t)
	stanzas, err := mine.hybrid.Recipient().Wrap(make([]byte, FileKeySize))
	if err != nil {
		t.Fatal(err)
	}
	stanzas[0].Body = stanzas[0].Body[1:]
	keyring, err := encrypt([]byte("{}"), handmade{stanzas})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mine.Open(keyring); err == nil || errors.Is(err, ErrNotForUs) {
		t.Errorf("a stanza of a keyring: %v", err)
	}
}
