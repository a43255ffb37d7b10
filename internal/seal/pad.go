package seal

import (
	"bytes"
	"math/bits"
)

// minBucket is the smallest padded size, in bytes. Half of all real STIX objects are below 700 bytes.
const minBucket = 512

// Pad fills plaintext up to the size of its bucket with spaces, which JSON ignores. Up to 4 KiB the buckets are
// multiples of 512 bytes; above, each power of two is divided into eight, so that padding costs at most an eighth.
func Pad(plaintext []byte) []byte { return fill(plaintext, bucket(len(plaintext))) }

func fill(plaintext []byte, size int) []byte {
	padded := make([]byte, size)
	n := copy(padded, plaintext)
	for ; n < len(padded); n++ {
		padded[n] = ' '
	}
	return padded
}

// minCoarse is the smallest coarse bucket, in bytes: 95 of 100 real STIX objects fit into it.
const minCoarse = 4096

// PadCoarse fills plaintext up to a power of two, at least 4 KiB. Every such size is one of [Pad]'s too.
func PadCoarse(plaintext []byte) []byte {
	return fill(plaintext, 1<<bits.Len(uint(max(len(plaintext), minCoarse)-1)))
}

// Unpad takes the padding off. What was padded is JSON, which never ends in a space.
func Unpad(padded []byte) []byte { return bytes.TrimRight(padded, " ") }

func bucket(size int) int {
	step := max(minBucket, 1<<bits.Len(uint(size))>>4)
	return max(minBucket, (size+step-1)/step*step)
}
