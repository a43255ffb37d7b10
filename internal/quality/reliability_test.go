package quality

import "testing"

// STIX 2.1, Appendix A, "Admiralty Credibility".
func TestCredibilityAndConfidenceAreThoseOfTheStandardsTable(t *testing.T) {
	for confidence, want := range map[int]int{-1: 5, 0: 5, 10: 5, 19: 5, 20: 4, 39: 4, 40: 3, 59: 3, 60: 2, 79: 2, 80: 1, 90: 1, 100: 1, 1000: 1} {
		if got := Credibility(confidence); got != want {
			t.Errorf("a confidence of %d is the credibility %d, want %d", confidence, got, want)
		}
	}
	for credibility, want := range map[int]int{1: 90, 2: 70, 3: 50, 4: 30, 5: 10} {
		if got, is := Confidence(credibility); !is || got != want || Credibility(got) != credibility || CredibilityWords(credibility) == "" {
			t.Errorf("the credibility %d is a confidence of %d, want %d", credibility, got, want)
		}
	}
	for _, none := range []int{0, CannotBeJudged} {
		if got, is := Confidence(none); is {
			t.Errorf("the credibility %d is a confidence of %d", none, got)
		}
	}
}

func TestWordsAreThoseOfTheNearestCredibility(t *testing.T) {
	for credibility, want := range map[int]string{
		-1: "", 0: "", 1: "confirmed by other sources", 5: "improbable", 6: "truth cannot be judged", 7: "truth cannot be judged",
	} {
		if got := CredibilityWords(credibility); got != want {
			t.Errorf("the credibility %d is %q, want %q", credibility, got, want)
		}
	}
}

func TestALetterLeavesItsShareOfAScore(t *testing.T) {
	for letter, want := range map[Reliability]int{"A": 80, "B": 68, "C": 56, "D": 40, "E": 16, "F": 56, "": 80} {
		if got := letter.Of(80); got != want {
			t.Errorf("%q leaves %d of 80, want %d", letter, got, want)
		}
	}
	for text, want := range map[string]Reliability{"a": "A", " F ": "F"} {
		if got, err := ParseReliability(text); got != want || err != nil || got.Words() == "" {
			t.Errorf("%q is %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "G", "AB", "1"} {
		if got, err := ParseReliability(text); err == nil {
			t.Errorf("%q is %q", text, got)
		}
	}
}
