//go:build race

package p2p

// underRace says that the race detector looks on.
const underRace = true
