package devchain

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ParseAlgo reads a decimal amount of ALGO exactly.
func ParseAlgo(s string) (uint64, error) {
	bad := fmt.Errorf("%q is not an amount of ALGO", s)
	whole, fraction, _ := strings.Cut(s, ".")
	if len(fraction) > 6 {
		return 0, fmt.Errorf("%w: it has more than six decimals", bad)
	}
	n, err := strconv.ParseUint(whole, 10, 64)
	if err != nil || n > math.MaxUint64/1_000_000-1 {
		return 0, bad
	}
	micros := uint64(0)
	if fraction != "" {
		if micros, err = strconv.ParseUint((fraction + "000000")[:6], 10, 64); err != nil {
			return 0, bad
		}
	}
	return n*1_000_000 + micros, nil
}
