package certs

import (
	"go/version"
	"log/slog"
)

// safeGo is the earliest release of Go in whose TLS and HTTP/2 servers no hole is known that anybody can use before a
// login (GO-2026-6603, 6611, 6612, 6617, 6809).
const safeGo = "go1.26.10"

// warnOfToolchain says it where the program was built with an earlier one.
func warnOfToolchain(built string, log *slog.Logger) {
	if SaferGo(built) != "" {
		log.Warn("the node speaks TLS itself and was built with a Go release whose HTTP/2 has known holes; build it with a later one, or put a proxy before it",
			"built_with", built, "needed", safeGo)
	}
}

// SaferGo is the release of Go that the program should have been built with, if it was built with an unsafe one.
func SaferGo(built string) string {
	if version.IsValid(built) && version.Compare(built, safeGo) < 0 {
		return safeGo
	}
	return ""
}
