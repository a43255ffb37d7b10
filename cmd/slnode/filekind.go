package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// fileKind is what a file is that commands take, in words.
type fileKind string

const (
	aRequest   fileKind = "a request for admission"
	anInvite   fileKind = "an invite"
	aProposal  fileKind = "a proposal"
	someProof  fileKind = "a file of evidence"
	stixData   fileKind = "STIX data"
	aBackup    fileKind = "a backup sealed with a passphrase"
	ageFile    fileKind = "a file sealed with age" // an invite or a backup
	anyJSON    fileKind = "some other JSON"
	notKnown   fileKind = "none of slnode's files"
	nothingYet fileKind = "empty"
)

// handledBy is the command that takes a kind of file.
var handledBy = map[fileKind]string{
	aRequest: "slnode member admit", anInvite: "slnode join", aProposal: "slnode governor sign", someProof: "slnode evidence check",
	stixData: "slnode publish", aBackup: "slnode restore", ageFile: "slnode join, or slnode restore for a backup",
}

// kindOf says what a file is, as far as that shows from outside.
func kindOf(data []byte) fileKind {
	const ageMagic = "age-encryption.org/v1\n"
	data = bytes.TrimSpace(data)
	switch {
	case len(data) == 0:
		return nothingYet
	case bytes.HasPrefix(data, []byte(ageMagic+"-> scrypt ")):
		return aBackup
	case bytes.HasPrefix(data, []byte(ageMagic)), bytes.HasPrefix(data, []byte("-----BEGIN AGE ENCRYPTED FILE-----")):
		return ageFile
	}
	var head struct {
		Format  string          `json:"format"`
		Kind    string          `json:"kind"`
		Type    string          `json:"type"`
		Objects json.RawMessage `json:"objects"`
	}
	if json.Unmarshal(data, &head) != nil {
		if json.Valid(data) {
			return anyJSON
		}
		return notKnown
	}
	switch {
	case strings.HasPrefix(head.Format, "serviceledger evidence"):
		return someProof
	case head.Format != "" && head.Kind == "member":
		return aRequest
	case head.Format != "" && head.Kind == "proposal":
		return aProposal
	case head.Type != "" || head.Objects != nil:
		return stixData
	}
	return anyJSON
}

// readKind reads a file that is to be of a kind. One of another kind is called what it is.
func readKind(c *cobra.Command, name string, want fileKind) ([]byte, error) {
	data, err := readInput(c, name)
	if err != nil {
		return nil, err
	}
	return data, expect(name, data, want)
}

// expect refuses a file that is plainly of another kind. One that only may be another is left to who reads it.
func expect(name string, data []byte, want fileKind) error {
	found := kindOf(data)
	if found == want || found == ageFile && (want == anInvite || want == aBackup) {
		return nil
	}
	err := fmt.Errorf("%w: %s: this is %s, not %s", errUsage, name, found, want)
	if command := handledBy[found]; command != "" {
		err = fmt.Errorf("%w; it is for %s", err, command)
	}
	return err
}
