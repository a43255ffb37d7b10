package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"filippo.io/age"
)

// sealedTo seals cheaply: with a work factor for tests if the recipient is a passphrase.
func sealedTo(t testing.TB, plaintext string, recipient age.Recipient) []byte {
	t.Helper()
	if scrypt, ok := recipient.(*age.ScryptRecipient); ok {
		scrypt.SetWorkFactor(10)
	}
	sealed, err := encrypt([]byte(plaintext), recipient)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func byPassphrase(t testing.TB, passphrase string) (age.Recipient, age.Identity) {
	t.Helper()
	recipient, err := PassphraseRecipient(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := PassphraseIdentity(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	return recipient, identity
}

func TestOnlyTheRightPassphraseOpens(t *testing.T) {
	recipient, identity := byPassphrase(t, "correct horse")
	_, wrong := byPassphrase(t, "battery staple")
	sealed := sealedTo(t, "the keys", recipient)

	plaintext, err := OpenStream(bytes.NewReader(sealed), identity)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(plaintext); err != nil || string(got) != "the keys" {
		t.Errorf("opened %q, %v", got, err)
	}
	if _, err := OpenStream(bytes.NewReader(sealed), wrong); !errors.Is(err, ErrPassphrase) {
		t.Errorf("the wrong passphrase gives %v", err)
	}
}

func TestAPassphraseForWhatIsSealedToAKeyIsNotCalledWrong(t *testing.T) {
	_, identity := byPassphrase(t, "correct horse")
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	recipient, _ := byPassphrase(t, "correct horse")
	if _, err := OpenStream(bytes.NewReader(sealedTo(t, "x", key.Recipient())), identity); !errors.Is(err, ErrNotForUs) {
		t.Errorf("a passphrase for a key's file gives %v", err)
	}
	if _, err := OpenStream(bytes.NewReader(sealedTo(t, "x", recipient)), key); !errors.Is(err, ErrNotForUs) {
		t.Errorf("a key for a passphrase's file gives %v", err)
	}
}

// A file can say how much work its passphrase takes. What would take minutes is refused before any of it is done.
func TestAHostileWorkFactorIsRefusedAtOnce(t *testing.T) {
	recipient, identity := byPassphrase(t, "correct horse")
	sealed := sealedTo(t, "x", recipient)
	for _, work := range []int{maxPassphraseWork + 1, 30, 1 << 40} {
		hostile := bytes.Replace(sealed, []byte(" 10\n"), fmt.Appendf(nil, " %d\n", work), 1)
		if _, err := OpenStream(bytes.NewReader(hostile), identity); err == nil || !strings.Contains(err.Error(), "work factor") {
			t.Errorf("work factor %d gives %v", work, err)
		}
	}
}

func TestThereIsNoEmptyPassphrase(t *testing.T) {
	if _, err := PassphraseRecipient(""); err == nil {
		t.Error("sealed with an empty passphrase")
	}
	if _, err := PassphraseIdentity(""); err == nil {
		t.Error("opened with an empty passphrase")
	}
}
