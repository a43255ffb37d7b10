package seal

import (
	"bytes"
	"errors"
	"testing"
)

func TestAFileKeyOpensItsObjectAndNoOther(t *testing.T) {
	key := newEpoch(t)
	one, err := key.Seal([]byte(`{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}
	two, err := key.Seal([]byte(`{"a":2}`))
	if err != nil {
		t.Fatal(err)
	}
	fileKey, err := key.FileKey(one)
	if err != nil || len(fileKey) != FileKeySize {
		t.Fatalf("%x, %v", fileKey, err)
	}
	if plaintext, err := OpenWithFileKey(fileKey, one); err != nil || string(plaintext) != `{"a":1}` {
		t.Errorf("opened %q, %v", plaintext, err)
	}
	if plaintext, err := OpenWithFileKey(fileKey, two); err == nil {
		t.Errorf("the key of one object opens another of the same epoch: %q", plaintext)
	}
	for i := range fileKey {
		changed := bytes.Clone(fileKey)
		changed[i] ^= 1
		if _, err := OpenWithFileKey(changed, one); err == nil {
			t.Errorf("a key with another byte %d opens it", i)
		}
	}
	if _, err := OpenWithFileKey(nil, one); err == nil {
		t.Error("no key opens it")
	}
	if _, err := newEpoch(t).FileKey(one); !errors.Is(err, ErrNotForUs) {
		t.Errorf("the key of another epoch: %v, want ErrNotForUs", err)
	}
	if _, err := key.FileKey([]byte("no age file")); err == nil || errors.Is(err, ErrNotForUs) {
		t.Errorf("no age file: %v", err)
	}
}
