// Package sample has a mutant of every kind. What its test doesn't notice is said at the end of the line.
package sample

import "errors"

const held = 4

const loose = 8 // survives: limit

var errOdd = errors.New("odd")

func small(n int) bool { return n < 3 }

func large(n int) bool { return n > 10 } // survives: moved, one more

func between(n int) bool {
	return n > 0 && // survives: moved, one more
		even(n)
}

func even(n int) bool { return n%2 == 0 }

func half(n int) (int, error) {
	if n%2 != 0 {
		return 0, errOdd
	}
	return n / 2, nil
}

func quarter(n int) (int, error) {
	n, err := half(n)
	if err != nil { // survives: never taken
		return 0, err // survives: error dropped
	}
	return half(n) // survives: error dropped
}

func sum(list []int) (total int) {
	for _, n := range list {
		if n == 0 { // survives: never taken
			continue // survives: removed
		}
		total += n
	}
	return total
}

func notReached() int {
	total := held            // survives: one more
	total++                  // survives: removed
	return min(total, loose) // survives: one more
}
