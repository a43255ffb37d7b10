package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"filippo.io/age"
)

func protocol(t testing.TB) string {
	t.Helper()
	document, err := os.ReadFile("../../docs/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(document)
}

func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func TestAChangedByteInAnyChunkOfALargeObjectIsNoticed(t *testing.T) {
	key := newEpoch(t)
	object := bytes.Repeat([]byte("0123456789abcdef"), 200_000/16)
	sealed := must[[]byte](t)(key.Seal(object))
	if opened, err := key.Open(sealed); err != nil || !bytes.Equal(opened, object) {
		t.Fatalf("opened %d bytes, %v", len(opened), err)
	}
	for _, at := range []int{300, 1000, 65_000, 66_000, 130_000, 197_000, len(sealed) - 1} {
		changed := bytes.Clone(sealed)
		changed[at] ^= 1
		if opened, err := key.Open(changed); err == nil || opened != nil {
			t.Errorf("byte %d changed: opened %d bytes, %v", at, len(opened), err)
		}
	}
	for what, changed := range map[string][]byte{
		"its last byte":  sealed[:len(sealed)-1],
		"its last chunk": sealed[:181+65_552],
		"one more byte":  append(bytes.Clone(sealed), 0),
	} {
		if _, err := key.Open(changed); err == nil {
			t.Errorf("with or without %s it opens", what)
		}
	}
}

func TestAFileOfNothingOpensToNothing(t *testing.T) {
	key := newEpoch(t)
	if opened, err := key.Open(must[[]byte](t)(encrypt(nil, key.recipient))); err != nil || len(opened) != 0 {
		t.Errorf("%q, %v", opened, err)
	}
}

func TestTheHandleOfTheProtocolsExample(t *testing.T) {
	var keys struct {
		Epoch1 string `json:"epoch_1"`
	}
	if err := json.Unmarshal(must[[]byte](t)(os.ReadFile("../../docs/vectors/keys.json")), &keys); err != nil {
		t.Fatal(err)
	}
	handle := must[*EpochKey](t)(ParseEpochKey(keys.Epoch1)).Handle("ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4", "")
	if !strings.Contains(protocol(t), "`"+handle+"`") {
		t.Errorf("PROTOCOL.md has another handle than %s", handle)
	}
}

// Each row is the size of a plaintext, and what it shows as.
func TestSizesAreThoseOfTheProtocolsTable(t *testing.T) {
	key := newEpoch(t)
	_, table, _ := strings.Cut(protocol(t), "```text padding\n")
	table, _, _ = strings.Cut(table, "```")
	rows := strings.Split(strings.TrimSpace(table), "\n")[1:]
	if len(rows) < 10 {
		t.Fatalf("the table has %d rows", len(rows))
	}
	for _, row := range rows {
		var plain, padded, sealed, coarse int
		if _, err := fmt.Sscan(row, &plain, &padded, &sealed, &coarse); err != nil {
			t.Fatal(err)
		}
		object := bytes.Repeat([]byte("x"), plain)
		ciphertext := must[[]byte](t)(key.Seal(object))
		if n, c := len(Pad(object)), len(PadCoarse(object)); n != padded || c != coarse || len(ciphertext) != sealed {
			t.Errorf("%d bytes show as %d, %d sealed and %d coarse; PROTOCOL.md has %d, %d, %d", plain, n, len(ciphertext), c, padded, sealed, coarse)
		}
		if n := len(Pad(PadCoarse(object))); n != coarse {
			t.Errorf("%d bytes, coarse, are padded again to %d", plain, n)
		}
		if !bytes.Equal(Unpad(PadCoarse(object)), object) || !bytes.Equal(Unpad(Pad(object)), object) {
			t.Errorf("%d bytes are not given back", plain)
		}
	}
}

func TestPowersOfTwoAreBuckets(t *testing.T) {
	for size := 512; size <= 32<<20; size *= 2 {
		if bucket(size) != size {
			t.Errorf("bucket(%d) = %d", size, bucket(size))
		}
		if size < 4096 {
			continue
		}
		if step := size / 8; bucket(size+1) != size+step || bucket(size+step) != size+step || bucket(size+step+1) != size+2*step {
			t.Errorf("above %d the buckets are %d and %d, want steps of %d", size, bucket(size+1), bucket(size+step+1), step)
		}
		if n := len(PadCoarse(make([]byte, size))); n != size {
			t.Errorf("%d bytes, coarse, are %d", size, n)
		}
	}
	for size, want := range map[int]int{0: 4096, 1: 4096, 4095: 4096, 4096: 4096, 4097: 8192, 8192: 8192, 8193: 16384} {
		if n := len(PadCoarse(make([]byte, size))); n != want {
			t.Errorf("%d bytes, coarse, are %d, want %d", size, n, want)
		}
	}
}

func TestAKeyringHasAsManyReadersAsTheProtocolSays(t *testing.T) {
	found := regexp.MustCompile(`\| stanzas in the header of a keyring or an invite \| ([0-9,]+) \|`).FindStringSubmatch(protocol(t))
	if found == nil {
		t.Fatal("PROTOCOL.md has no such limit")
	}
	most := must[int](t)(strconv.Atoi(strings.ReplaceAll(found[1], ",", "")))
	reader := newOrganisation(t)
	recipients := make([]string, most+1)
	for i := range recipients {
		recipients[i] = reader.Recipient()
	}
	sealed := must[[]byte](t)(SealTo(recipients[:most], []byte("{}")))
	if opened, err := reader.Open(sealed); err != nil || string(opened) != "{}" {
		t.Errorf("%d readers: %q, %v", most, opened, err)
	}
	if _, err := SealTo(recipients, []byte("{}")); err == nil || !strings.HasSuffix(err.Error(), "want 1 to "+strconv.Itoa(most)) {
		t.Errorf("%d readers: %v", len(recipients), err)
	}
	if _, err := SealTo(nil, []byte("{}")); err == nil {
		t.Error("something is sealed to nobody")
	}
	hostile := hostileKeyring(t, sealed)
	if _, err := reader.Open(hostile); err == nil || errors.Is(err, ErrNotForUs) {
		t.Errorf("a header with a stanza more: %v", err)
	}
}

// hostileKeyring repeats the last stanza of a header.
func hostileKeyring(t testing.TB, sealed []byte) []byte {
	t.Helper()
	last, end := bytes.LastIndex(sealed, []byte("\n-> ")), bytes.Index(sealed, []byte("\n---"))
	if last < 0 || end < last {
		t.Fatal("no header")
	}
	return append(bytes.Clone(sealed[:end]), sealed[last:]...)
}

// place is an identity that finds out which of the stanzas is its own.
type place struct {
	age.Identity
	at *int
}

func (p place) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	for i := range stanzas {
		if key, err := p.Identity.Unwrap(stanzas[i : i+1]); err == nil {
			*p.at = i
			return key, nil
		}
	}
	return nil, age.ErrIncorrectIdentity
}

func TestAReadersPlaceInAKeyringTellsNothing(t *testing.T) {
	reader := newOrganisation(t)
	places := map[int]bool{}
	for range 100 {
		var at int
		if _, err := decrypt(must[[]byte](t)(SealTo([]string{reader.Recipient()}, []byte("{}"))), place{reader.hybrid, &at}); err != nil {
			t.Fatal(err)
		}
		places[at] = true
	}
	if len(places) != minStanzas {
		t.Errorf("of %d places, the only reader is at %v", minStanzas, places)
	}
}

func TestAnIdentityOpensWhatWasSealedToTheOnesBefore(t *testing.T) {
	first, second, third, other := newOrganisation(t), newOrganisation(t), newOrganisation(t), newOrganisation(t)
	now := third.With(second, first)
	for what, recipient := range map[string]*Identity{"the first": first, "the second": second, "the third": third} {
		sealed := must[[]byte](t)(SealTo([]string{recipient.Recipient()}, []byte("{}")))
		if opened, err := now.Open(sealed); err != nil || string(opened) != "{}" {
			t.Errorf("what was sealed to %s: %q, %v", what, opened, err)
		}
	}
	if _, err := now.Open(must[[]byte](t)(SealTo([]string{other.Recipient()}, []byte("{}")))); !errors.Is(err, ErrNotForUs) {
		t.Errorf("what was sealed to another: %v", err)
	}
	if _, err := now.Open([]byte("no age file")); err == nil || errors.Is(err, ErrNotForUs) {
		t.Errorf("no age file: %v", err)
	}
	if now.Recipient() != third.Recipient() || now.Secret() != third.Secret() {
		t.Error("the present identity is another")
	}
}

// What is broken for the present identity is broken, and is not tried with the ones before.
func TestADamagedFileOfThePresentIdentityIsCalledDamaged(t *testing.T) {
	first, second := newOrganisation(t), newOrganisation(t)
	damaged := must[[]byte](t)(SealTo([]string{second.Recipient()}, []byte("{}")))
	damaged[len(damaged)-1] ^= 1
	if _, err := second.With(first).Open(damaged); err == nil || errors.Is(err, ErrNotForUs) {
		t.Errorf("%v", err)
	}
}

func TestKeysAreReadAsTheyWereWritten(t *testing.T) {
	identity := newOrganisation(t)
	if again, err := ParseIdentity(identity.Secret()); err != nil || again.Recipient() != identity.Recipient() {
		t.Errorf("%v", err)
	}
	classic := must[*age.X25519Identity](t)(age.GenerateX25519Identity())
	for _, bad := range []string{"", "AGE-SECRET-KEY-PQ-1NOTAKEY", classic.String()} {
		if _, err := ParseIdentity(bad); err == nil || strings.Contains(err.Error(), "NOTAKEY") {
			t.Errorf("an identity is read from %q: %v", bad, err)
		}
	}
	if err := CheckRecipient(identity.Recipient()); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "age1x", classic.Recipient().String(), identity.Recipient()[:100]} {
		if CheckRecipient(bad) == nil {
			t.Errorf("%.80q passes for a hybrid recipient", bad)
		}
		if _, err := SealTo([]string{identity.Recipient(), bad}, nil); err == nil || !strings.Contains(err.Error(), "recipient 1 ") {
			t.Errorf("sealed to %.80q: %v", bad, err)
		}
	}
}

func TestWhatIsWrongWithAFileKeyIsSaid(t *testing.T) {
	key := newEpoch(t)
	sealed := must[[]byte](t)(key.Seal([]byte("{}")))
	for _, n := range []int{0, 15, 17, 32} {
		if _, err := OpenWithFileKey(make([]byte, n), sealed); err == nil || !strings.HasSuffix(err.Error(), fmt.Sprintf("has 16 bytes, not %d", n)) {
			t.Errorf("a key of %d bytes: %v", n, err)
		}
	}
	if _, err := key.FileKey([]byte("no age file")); err == nil || !strings.HasPrefix(err.Error(), "reading the age header") {
		t.Errorf("no age file: %v", err)
	}
	if _, err := key.FileKey(twice(t, key)); err == nil || !strings.Contains(err.Error(), "2 stanzas") {
		t.Errorf("a file of two stanzas: %v", err)
	}
}

func TestAPassphraseCostsHalfASecond(t *testing.T) {
	recipient := must[age.Recipient](t)(PassphraseRecipient("correct horse"))
	sealed := must[[]byte](t)(encrypt([]byte("{}"), recipient))
	if !bytes.Contains(sealed, []byte(" 17\n")) {
		t.Errorf("the header is %q", sealed[:bytes.Index(sealed, []byte("\n---"))])
	}
	_, identity := byPassphrase(t, "correct horse")
	hostile := bytes.Replace(sealed, []byte(" 17\n"), []byte(" 20\n"), 1)
	if _, err := OpenStream(bytes.NewReader(hostile), identity); err == nil || !strings.Contains(err.Error(), "work factor") {
		t.Errorf("a file that takes 1 GiB: %v", err)
	}
}

// brokenRecipient is a recipient whose device is gone.
type brokenRecipient struct{}

func (brokenRecipient) Wrap([]byte) ([]*age.Stanza, error) {
	return nil, errors.New("the device is gone")
}

func TestNothingIsSealedWhereARecipientFails(t *testing.T) {
	if sealed, err := encrypt([]byte("{}"), brokenRecipient{}); err == nil || sealed != nil {
		t.Errorf("sealed %d bytes, %v", len(sealed), err)
	}
}

func TestAStreamIsOpenedByWhoeverItIsFor(t *testing.T) {
	key, other := must[*age.X25519Identity](t)(age.GenerateX25519Identity()), must[*age.X25519Identity](t)(age.GenerateX25519Identity())
	recipient, identity := byPassphrase(t, "correct horse")
	sealed := sealedTo(t, "the keys", key.Recipient())
	plaintext, err := OpenStream(bytes.NewReader(sealed), other, identity, key)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(plaintext); err != nil || string(got) != "the keys" {
		t.Errorf("%q, %v", got, err)
	}
	_, wrong := byPassphrase(t, "battery staple")
	if _, err := OpenStream(bytes.NewReader(sealedTo(t, "x", recipient)), other, wrong); !errors.Is(err, ErrPassphrase) {
		t.Errorf("a key and the wrong passphrase: %v", err)
	}
	if _, err := OpenStream(bytes.NewReader([]byte("no age file")), key); err == nil || errors.Is(err, ErrNotForUs) {
		t.Errorf("no age file: %v", err)
	}
}
