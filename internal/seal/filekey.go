package seal

import (
	"bytes"
	"fmt"

	"filippo.io/age"
)

// FileKeySize is the size of a file key, in bytes.
const FileKeySize = 16

// FileKey gives the key of one sealed object alone: with it anybody can open this object, and nothing else. It returns
// an error wrapping [ErrNotForUs] if the object belongs to another epoch.
func (k *EpochKey) FileKey(sealed []byte) ([]byte, error) {
	header, err := age.ExtractHeader(bytes.NewReader(sealed))
	if err != nil {
		return nil, fmt.Errorf("reading the age header: %w", err)
	}
	fileKey, err := age.DecryptHeader(header, soleStanza{k.identity})
	if err != nil {
		return nil, fmt.Errorf("opening with an epoch key: %w", notForUs(err))
	}
	return fileKey, nil
}

// OpenWithFileKey decrypts one object with what [EpochKey.FileKey] gave. The header's MAC binds the key: there is no
// second one that opens the same bytes to something else. An object whose header no epoch key can open is refused;
// whether it is a certain one that does can't be seen without it.
func OpenWithFileKey(fileKey, sealed []byte) ([]byte, error) {
	if len(fileKey) != FileKeySize {
		return nil, fmt.Errorf("a file key has %d bytes, not %d", FileKeySize, len(fileKey))
	}
	padded, err := decrypt(sealed, soleStanza{openable{fileKey}})
	if err != nil {
		return nil, fmt.Errorf("opening with a file key: %w", err)
	}
	return Unpad(padded), nil
}

// openable takes the file key of an object from elsewhere.
type openable struct{ fileKey []byte }

// Unwrap implements [age.Identity].
func (o openable) Unwrap([]*age.Stanza) ([]byte, error) { return o.fileKey, nil }
