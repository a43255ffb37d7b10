// Package spelling tells how far apart two words are, for who has mistyped one.
package spelling

// Distance is how many characters have to be inserted, deleted or replaced to make one word of another (Levenshtein).
func Distance(a, b string) int {
	row := make([]int, len(b)+1) // from a's beginning so far to each beginning of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := corner
			if a[i] != b[j] {
				replaced++
			}
			corner = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
