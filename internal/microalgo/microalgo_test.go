package microalgo

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAmountsAreReadAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Amount{
		"0": 0, "1": 1_000_000, "1.5 ALGO": 1_500_000, " 0.101 algo ": 101_000, "0.000001": 1, "1500 microalgo": 1500,
		"18446744073709.551615": math.MaxUint64, "18446744073709551615 microalgo": math.MaxUint64,
	} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
}

func TestWhatIsNoAmountIsRefusedWithTheForm(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "ALGO", "1.", ".5", "-1", "+1", "1e3", "1,5", "0.0000001", "1 EUR", "1.5 microalgo", "1 ALGO more", "18446744073709.551616", "18446744073710",
		"99999999999999999999", "0x10", "1_000", "NaN", strings.Repeat("9", 1000),
	} {
		if got, err := Parse(text); err == nil || !strings.Contains(err.Error(), "1.5 ALGO") || len(err.Error()) > 200 {
			t.Errorf("%.20q is %d, %v", text, got, err)
		}
	}
}

func TestAmountsAreWrittenWithTheDecimalsThatTheyHave(t *testing.T) {
	t.Parallel()
	for a, want := range map[Amount][2]string{
		0: {"0", "0.000000"}, 1: {"0.000001", "0.000001"}, 101_000: {"0.101", "0.101000"}, ALGO: {"1", "1.000000"}, 10 * ALGO: {"10", "10.000000"}, 1_500_000: {"1.5", "1.500000"},
	} {
		if a.String() != want[0] || a.Fixed() != want[1] {
			t.Errorf("%d is written %s and %s, want %q", uint64(a), a, a.Fixed(), want)
		}
	}
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := Amount(rapid.Uint64().Draw(t, "amount"))
		if got, err := Parse(a.String()); err != nil || got != a {
			t.Fatalf("%d is written %s, and read as %d, %v", a, a, got, err)
		}
		if got, err := Parse(a.Fixed()); err != nil || got != a {
			t.Fatalf("%d is written %s, and read as %d, %v", a, a.Fixed(), got, err)
		}
		var back Text
		text, err := Text(a).MarshalText()
		if err != nil || back.UnmarshalText(text) != nil || back != Text(a) {
			t.Fatalf("%d is written %q, and read as %d", a, text, back)
		}
	})
}

func TestSumsNeverWrapAround(t *testing.T) {
	t.Parallel()
	most := Amount(math.MaxUint64)
	for _, c := range []struct{ got, want Amount }{
		{most.Plus(1), most}, {Amount(2).Plus(3), 5}, {most.Times(2), most}, {Amount(7).Times(6), 42}, {Amount(3).Less(5), 0}, {Amount(5).Less(3), 2},
	} {
		if c.got != c.want {
			t.Errorf("got %d, want %d", c.got, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("1.5 ALGO")
	f.Fuzz(func(t *testing.T, text string) {
		if a, err := Parse(text); err == nil {
			if again, err := Parse(a.String()); err != nil || again != a {
				t.Errorf("%q is %d, and then %d, %v", text, a, again, err)
			}
		}
	})
}
