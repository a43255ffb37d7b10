package seal

import (
	"bytes"
	"math/bits"
)

// minBucket is the smallest padded size, in bytes. Half of all real STIX objects are below 700 bytes.
const minBucket = 512

// Pad fills plaintext up to the size of its bucket with spaces, which JSON ignores. Up to 4 KiB the buckets are
// multiples of 512 bytes; above, each power of two is divided into eight, so that padding costs at most an eighth.
func Pad(plaintext []byte) []byte {
	padded := make([]byte, bucket(len(plaintext)))
	n := copy(padded, plaintext)
	for ; n < len(padded); n++ {
		padded[n] = ' '
	}
	return padded
}

// Unpad takes the padding off. What was padded is JSON, which never ends in a space.
func Unpad(padded []byte) []byte { return bytes.TrimRight(padded, " ") }

func bucket(size int) int {
	step := minBucket
	if size > 8*minBucket {
		step = 1 << (bits.Len(uint(size-1)) - 4)
	}
	return max(minBucket, (size+step-1)/step*step)
}
