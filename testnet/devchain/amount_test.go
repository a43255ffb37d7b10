package devchain

import "testing"

func TestAmountsAreReadExactly(t *testing.T) {
	for text, want := range map[string]uint64{
		"10": 10_000_000, "0.1": 100_000, "1.000001": 1_000_001, "0": 0, "18446744073708": 18_446_744_073_708_000_000,
	} {
		if got, err := ParseAlgo(text); err != nil || got != want {
			t.Errorf("%s is %d, want %d (%v)", text, got, want, err)
		}
	}
	for _, text := range []string{"", "-1", "1.0000001", "1e3", ".", "1.x", "1.-5", "18446744073710", "ten"} {
		if got, err := ParseAlgo(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}
