package stix

import (
	"slices"
	"testing"
)

func TestATypeOfTheStandardIsWhatItIsWhateverItsTimes(t *testing.T) {
	if types := Types(); len(types) != 42 || !slices.IsSorted(types) || len(slices.Compact(slices.Clone(types))) != len(types) {
		t.Errorf("the types are %v", types)
	}
	for _, name := range append(Types(), "x-custom") {
		timed, untimed := Object{Type: name, Created: "2026-01-01T00:00:00Z"}, Object{Type: name}
		if standard := timed.isObservable() == untimed.isObservable(); standard != (name != "x-custom") {
			t.Errorf("%s is one of the standard: %t", name, standard)
		}
	}
}
