// Package microalgo has amounts of money on Algorand: whole numbers of microalgo, written and read in ALGO.
package microalgo

import (
	"encoding"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// Amount is an amount of money in microalgo, of which 1,000,000 are 1 ALGO. JSON has it as that number.
type Amount uint64

const (
	// ALGO is one, in microalgo.
	ALGO Amount = 1_000_000
	// PerAsset is what every asset keeps locked in the account that made it, until it is destroyed.
	PerAsset Amount = 100_000
	// PerTransaction is the least that a transaction costs on Algorand's networks.
	PerTransaction Amount = 1000
	// PerNFT is what an NFT takes out of an account at the least: its fee, and what is locked.
	PerNFT = PerAsset + PerTransaction
)

const decimals = 6

var (
	_ encoding.TextUnmarshaler = (*Text)(nil)
	_ encoding.TextMarshaler   = Text(0)
)

// String writes an amount in ALGO, with no more decimals than it has: "1.5".
func (a Amount) String() string {
	return strings.TrimRight(strings.TrimRight(a.Fixed(), "0"), ".")
}

// Fixed writes an amount in ALGO with all six decimals, for columns and spreadsheets: "1.500000".
func (a Amount) Fixed() string {
	return fmt.Sprintf("%d.%0*d", uint64(a/ALGO), decimals, uint64(a%ALGO))
}

// Less takes an amount off; nothing is left where there is less than that.
func (a Amount) Less(b Amount) Amount { return a - min(a, b) }

// Plus adds an amount; what is more than can be counted counts as the most that can.
func (a Amount) Plus(b Amount) Amount {
	sum, carry := bits.Add64(uint64(a), uint64(b), 0)
	if carry > 0 {
		return math.MaxUint64
	}
	return Amount(sum)
}

// Times multiplies; what is more than can be counted counts as the most that can.
func (a Amount) Times(n uint64) Amount {
	high, low := bits.Mul64(uint64(a), n)
	if high > 0 {
		return math.MaxUint64
	}
	return Amount(low)
}

// Parse reads an amount as people write it: "1.5 ALGO", "1.5", "1500000 microalgo". Nothing is rounded: what has more
// than six decimals is refused, as are signs and exponents.
func Parse(text string) (Amount, error) {
	number, unit, _ := strings.Cut(strings.TrimSpace(text), " ")
	switch strings.ToLower(strings.TrimSpace(unit)) {
	case "microalgo":
		n, err := digits(number)
		if err != nil {
			return 0, refused(text)
		}
		return Amount(n), nil
	case "", "algo":
	default:
		return 0, refused(text)
	}
	whole, fraction, pointed := strings.Cut(number, ".")
	if pointed && fraction == "" || len(fraction) > decimals {
		return 0, refused(text)
	}
	n, err := digits(whole)
	micro := uint64(0)
	if err == nil && pointed {
		micro, err = digits(fraction + strings.Repeat("0", decimals-len(fraction)))
	}
	if err != nil || n > (math.MaxUint64-micro)/uint64(ALGO) {
		return 0, refused(text)
	}
	return Amount(n)*ALGO + Amount(micro), nil
}

func digits(text string) (uint64, error) {
	if strings.ContainsFunc(text, func(r rune) bool { return r < '0' || r > '9' }) {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseUint(text, 10, 64)
}

func refused(text string) error {
	return fmt.Errorf("%.40q is no amount of money: write \"1.5 ALGO\", with up to %d decimals", text, decimals)
}

// Text is an amount as a configuration has it: "1.5 ALGO", or nothing for none.
type Text Amount

// UnmarshalText reads what [Parse] does, and nothing.
func (t *Text) UnmarshalText(text []byte) error {
	if *t = 0; len(text) == 0 {
		return nil
	}
	a, err := Parse(string(text))
	*t = Text(a)
	return err
}

// MarshalText writes the same.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// String writes an amount with its unit: "1.5 ALGO"; "" for none.
func (t Text) String() string {
	if t == 0 {
		return ""
	}
	return Amount(t).String() + " ALGO"
}
