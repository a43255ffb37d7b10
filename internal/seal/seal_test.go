package seal

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"pgregory.net/rapid"
)

func newEpoch(t testing.TB) *EpochKey {
	t.Helper()
	key, err := NewEpochKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newOrganisation(t testing.TB) *Identity {
	t.Helper()
	identity, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

func TestAnObjectOpensWithItsEpochKeyAndNoOther(t *testing.T) {
	key, other := newEpoch(t), newEpoch(t)
	object := []byte(`{"type":"indicator"}`)
	sealed, err := key.Seal(object)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, object) {
		t.Fatal("the sealed object contains its plaintext")
	}
	opened, err := key.Open(sealed)
	if err != nil || !bytes.Equal(opened, object) {
		t.Fatalf("opened %q, %v", opened, err)
	}
	if _, err := other.Open(sealed); !errors.Is(err, ErrNotForUs) {
		t.Fatalf("another epoch's key: %v, want ErrNotForUs", err)
	}
}

func TestEveryObjectIsGivenBackByteForByte(t *testing.T) {
	key := newEpoch(t)
	rapid.Check(t, func(t *rapid.T) {
		object := []byte("{" + rapid.StringN(0, -1, 20_000).Draw(t, "object") + "}")
		sealed, err := key.Seal(object)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := key.Open(sealed)
		if err != nil || !bytes.Equal(opened, object) {
			t.Fatalf("opened %d bytes, %v; sealed %d", len(opened), err, len(object))
		}
	})
}

func TestTheHeaderOfAnObjectIsUnder256Bytes(t *testing.T) {
	sealed, err := newEpoch(t).Seal([]byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	header, err := age.ExtractHeader(bytes.NewReader(sealed))
	if err != nil {
		t.Fatal(err)
	}
	if len(header) >= 256 {
		t.Errorf("the header has %d bytes", len(header))
	}
}

func TestAChangedByteAnywhereIsNoticed(t *testing.T) {
	key := newEpoch(t)
	sealed, err := key.Seal([]byte(`{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}
	for at := range sealed {
		changed := bytes.Clone(sealed)
		changed[at] ^= 1
		if opened, err := key.Open(changed); err == nil {
			t.Fatalf("byte %d changed, opened as %q", at, opened)
		}
	}
}

func TestAnObjectWithMoreThanOneStanzaIsRefused(t *testing.T) {
	key := newEpoch(t)
	if _, err := key.Open(twice(t, key)); err == nil || !strings.Contains(err.Error(), "2 stanzas") {
		t.Errorf("opened with two stanzas: %v", err)
	}
}

// twice is an object with its stanza twice in the header: age itself makes none.
func twice(t testing.TB, key *EpochKey) []byte {
	t.Helper()
	return hostileKeyring(t, must[[]byte](t)(key.Seal([]byte("{}"))))
}

func TestHandlesDependOnKeyIdentifierAndVersion(t *testing.T) {
	key := newEpoch(t)
	again, err := ParseEpochKey(key.Secret())
	if err != nil {
		t.Fatal(err)
	}
	handle := key.Handle("ipv4-addr--1", "v")
	if handle != again.Handle("ipv4-addr--1", "v") {
		t.Error("the same key gives another handle")
	}
	for name, other := range map[string]string{
		"key":               newEpoch(t).Handle("ipv4-addr--1", "v"),
		"identifier":        key.Handle("ipv4-addr--2", "v"),
		"version":           key.Handle("ipv4-addr--1", "w"),
		"the place between": key.Handle("ipv4-addr--1v", ""),
	} {
		if other == handle {
			t.Errorf("another %s gives the same handle", name)
		}
	}
}

func TestAKeyringOpensForItsReadersOnly(t *testing.T) {
	alice, bob, eve := newOrganisation(t), newOrganisation(t), newOrganisation(t)
	sealed, err := SealTo([]string{alice.Recipient(), bob.Recipient()}, []byte(`{"epochs":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, reader := range map[string]*Identity{"alice": alice, "bob": bob} {
		if opened, err := reader.Open(sealed); err != nil || string(opened) != `{"epochs":[]}` {
			t.Errorf("%s opened %q, %v", name, opened, err)
		}
	}
	if _, err := eve.Open(sealed); !errors.Is(err, ErrNotForUs) {
		t.Errorf("eve: %v, want ErrNotForUs", err)
	}
}

func TestAKeyringHidesTheNumberOfItsReaders(t *testing.T) {
	reader := newOrganisation(t).Recipient()
	for readers, want := range map[int]int{1: 4, 2: 4, 4: 4, 5: 8, 8: 8, 9: 16} {
		recipients := make([]string, readers)
		for i := range recipients {
			recipients[i] = reader
		}
		sealed, err := SealTo(recipients, []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		header, err := age.ExtractHeader(bytes.NewReader(sealed))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(string(header), "\n-> "); got != want {
			t.Errorf("%d readers show as %d stanzas, want %d", readers, got, want)
		}
		if strings.Contains(string(header), reader[:40]) {
			t.Error("the header names a reader")
		}
	}
}

// What can be sealed to can be opened by each of them: age reads no longer header, whatever its writer does.
func TestWhatIsSealedToTheMostReadersOpens(t *testing.T) {
	last := newOrganisation(t)
	recipients := slices.Repeat([]string{newOrganisation(t).Recipient()}, MaxRecipients)
	recipients[MaxRecipients-1] = last.Recipient()
	sealed, err := SealTo(recipients, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if plaintext, stanzas, err := last.OpenAmong(sealed, MaxRecipients); err != nil || string(plaintext) != "{}" || stanzas != MaxRecipients {
		t.Errorf("among %d stanzas it opens to %q, %v", stanzas, plaintext, err)
	}
	if _, stanzas, err := last.OpenAmong(sealed, MaxRecipients-1); err == nil || errors.Is(err, ErrNotForUs) || stanzas != MaxRecipients {
		t.Errorf("with too many stanzas (%d): %v", stanzas, err)
	}
	if _, err := SealTo(append(recipients, last.Recipient()), []byte("{}")); err == nil {
		t.Error("it is sealed to more than can be read")
	}
}

// The size of a keyring must not tell which epochs somebody is given.
func TestASealedKeyringHidesHowManyKeysItHolds(t *testing.T) {
	reader := newOrganisation(t).Recipient()
	sizes := map[int]bool{}
	for _, keys := range []int{1, 2, 5, 20, 30} {
		sealed, err := SealTo([]string{reader}, bytes.Repeat([]byte("x"), 60+keys*110))
		if err != nil {
			t.Fatal(err)
		}
		sizes[len(sealed)] = true
	}
	if len(sizes) != 1 {
		t.Errorf("up to 30 keys show as the sizes %v", sizes)
	}
}

func TestSecretsDoNotPrintThemselves(t *testing.T) {
	epoch, identity := newEpoch(t), newOrganisation(t)
	for _, verb := range []string{"%v", "%s", "%+v", "%#v"} {
		printed := fmt.Sprintf(verb, epoch) + fmt.Sprintf(verb, identity)
		if strings.Contains(printed, "AGE-SECRET-KEY") || strings.Contains(printed, epoch.Secret()) {
			t.Errorf("%s prints a secret", verb)
		}
	}
	for _, bad := range []string{"", "NOTAKEY", epoch.Secret()[1:], epoch.Secret() + "0", strings.Repeat("A", 64), " " + epoch.Secret()[1:]} {
		if _, err := ParseEpochKey(bad); err == nil || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("an epoch key is read from %q: %v", bad, err)
		}
	}
}

func TestPaddingLeavesTheTextAndFewSizes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(0, 1<<20).Draw(t, "size")
		padded := bucket(size)
		if padded < size || padded < minBucket {
			t.Fatalf("%d bytes padded to %d", size, padded)
		}
		if size > 8*minBucket && padded > size+size/8+1 {
			t.Fatalf("%d bytes padded to %d, more than an eighth", size, padded)
		}
		if bucket(padded) != padded {
			t.Fatalf("bucket(%d) = %d, which is in bucket %d", size, padded, bucket(padded))
		}
	})
	sizes := map[int]bool{}
	for size := range 64 << 10 {
		sizes[bucket(size)] = true
	}
	if len(sizes) > 48 {
		t.Errorf("%d distinct sizes below 64 KiB", len(sizes))
	}
}

// The promise of no lock-in: the stock tool opens an object with the epoch's key as its passphrase.
func TestTheStockAgeToolOpensAnObject(t *testing.T) {
	tools := t.TempDir()
	for _, tool := range []string{"age", "age-plugin-batchpass"} {
		if out, err := exec.Command("go", "build", "-o", filepath.Join(tools, tool), "filippo.io/age/cmd/"+tool).CombinedOutput(); err != nil {
			t.Fatalf("building %s: %v\n%s", tool, err, out)
		}
	}
	key := newEpoch(t)
	for _, object := range []string{`{"type":"indicator"}`, `{"name":"` + strings.Repeat("x", 100_000) + `"}`} {
		sealed, err := key.Seal([]byte(object))
		if err != nil {
			t.Fatal(err)
		}
		command := exec.Command(filepath.Join(tools, "age"), "-d", "-j", "batchpass")
		command.Env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"), "AGE_PASSPHRASE="+key.Secret())
		command.Stdin = bytes.NewReader(sealed)
		out, err := command.CombinedOutput()
		if err != nil || string(bytes.TrimSpace(out)) != object {
			t.Errorf("age -d: %.200q, %v", out, err)
		}
	}
}

// Files of one chunk are opened by this package, longer ones by age: the same bytes open to the same text, or not at
// all.
func TestAShortFileOpensAsAgeOpensIt(t *testing.T) {
	key := newEpoch(t)
	rapid.Check(t, func(t *rapid.T) {
		plaintext := bytes.Repeat([]byte("x"), rapid.OneOf(rapid.IntRange(0, 2000), rapid.IntRange(65_500, 65_600), rapid.Just(131_072)).Draw(t, "size"))
		sealed, err := encrypt(plaintext, key.recipient)
		if err != nil {
			t.Fatal(err)
		}
		switch rapid.IntRange(0, 3).Draw(t, "damage") {
		case 0:
			sealed[rapid.IntRange(0, len(sealed)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		case 1:
			sealed = sealed[:rapid.IntRange(0, len(sealed)-1).Draw(t, "cut")]
		case 2:
			sealed = append(sealed, rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "more")...)
		}
		got, err := decrypt(sealed, soleStanza{key.identity})
		want, wantErr := decryptLong(sealed, soleStanza{key.identity})
		if (err == nil) != (wantErr == nil) || !bytes.Equal(got, want) || errors.Is(err, ErrNotForUs) != errors.Is(wantErr, ErrNotForUs) {
			t.Fatalf("opened %d bytes, %v; age %d bytes, %v", len(got), err, len(want), wantErr)
		}
	})
}

// A passphrase's work is bounded by who opens, and an object's header is always the same: whatever else costs time.
func TestAnotherHeaderThanAnObjectsIsRefused(t *testing.T) {
	key := newEpoch(t)
	strong, err := age.NewScryptRecipient(key.Secret())
	if err != nil {
		t.Fatal(err)
	}
	strong.SetWorkFactor(2)
	for name, recipients := range map[string][]age.Recipient{
		"a greater work factor": {strong}, "an X25519 stanza": {must[*age.X25519Identity](t)(age.GenerateX25519Identity()).Recipient()},
		"a hybrid stanza": {newOrganisation(t).hybrid.Recipient()},
	} {
		sealed, err := encrypt([]byte("{}"), recipients...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := key.Open(sealed); err == nil || !strings.Contains(err.Error(), "sealed to no epoch key") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := OpenWithFileKey(make([]byte, FileKeySize), sealed); err == nil || !strings.Contains(err.Error(), "sealed to no epoch key") {
			t.Errorf("%s, with a file key: %v", name, err)
		}
	}
}

func TestACommitmentFitsOneKeyOfOneEpochOfOneCollection(t *testing.T) {
	key := must[*EpochKey](t)(ParseEpochKey(strings.Repeat("0123456789abcdef", 4)))
	commitment := key.Commitment("2c5bf98e-17d4-4cbf-938f-98ee46b3cd3f", 7)
	want := sha256.Sum256([]byte("serviceledger/1 epoch\x002c5bf98e-17d4-4cbf-938f-98ee46b3cd3f\x007\x00" + strings.Repeat("0123456789abcdef", 4)))
	if commitment != want {
		t.Errorf("it is %x", commitment)
	}
	for name, other := range map[string][32]byte{
		"another epoch": key.Commitment("2c5bf98e-17d4-4cbf-938f-98ee46b3cd3f", 8), "another collection": key.Commitment("2c5bf98e-17d4-4cbf-938f-98ee46b3cd30", 7),
		"another key": newEpoch(t).Commitment("2c5bf98e-17d4-4cbf-938f-98ee46b3cd3f", 7),
	} {
		if other == commitment {
			t.Errorf("%s has the same", name)
		}
	}
}

func FuzzOpen(f *testing.F) {
	key, err := NewEpochKey()
	if err != nil {
		f.Fatal(err)
	}
	identity, err := NewIdentity()
	if err != nil {
		f.Fatal(err)
	}
	good, err := key.Seal([]byte("{}"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("age-encryption.org/v1\n-> X25519 AAAA\n"))
	f.Add(bytes.Replace(good, []byte(" 1\n"), []byte(" 30\n"), 1))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if opened, err := key.Open(sealed); err == nil && string(opened) != "{}" {
			t.Errorf("forged: %q", opened)
		}
		if _, err := identity.Open(sealed); err == nil {
			t.Error("the organisation's key opened something that was never sealed to it")
		}
	})
}

// realistic is as long as the mean of real STIX objects.
var realistic = bytes.Repeat([]byte("x"), 1073)

func BenchmarkSeal(b *testing.B) {
	key := newEpoch(b)
	b.ReportAllocs()
	for b.Loop() {
		sealed, err := key.Seal(realistic)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(sealed)-len(realistic)), "added-bytes")
	}
}

func BenchmarkOpen(b *testing.B) {
	key := newEpoch(b)
	sealed, err := key.Seal(realistic)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := key.Open(sealed); err != nil {
			b.Fatal(err)
		}
	}
}

// What the epoch key is there to avoid: every object sealed to every reader. At 1,000 readers it is what one keyring
// costs.
func BenchmarkSealToEachReader(b *testing.B) {
	for _, readers := range []int{3, 30, 300, 1000} {
		recipients := make([]string, readers)
		for i := range recipients {
			recipients[i] = newOrganisation(b).Recipient()
		}
		b.Run(fmt.Sprint(readers), func(b *testing.B) {
			for b.Loop() {
				sealed, err := SealTo(recipients, realistic)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(sealed)-len(realistic)), "added-bytes")
			}
		})
	}
}
