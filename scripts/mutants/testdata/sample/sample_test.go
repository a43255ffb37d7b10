package sample

import "testing"

func TestSample(t *testing.T) {
	if small(3) || !small(2) || large(0) || !large(20) || !between(2) || between(-2) || between(3) || even(1) || !even(2) {
		t.Error("a comparison")
	}
	if n, err := half(4); n != 2 || err != nil {
		t.Error(n, err)
	}
	if _, err := half(3); err == nil {
		t.Error("no error")
	}
	if n, err := quarter(8); n != 2 || err != nil {
		t.Error(n, err)
	}
	if sum([]int{1, 0, 2}) != 3 {
		t.Error("the sum")
	}
	if held != 4 {
		t.Error("the limit")
	}
}
