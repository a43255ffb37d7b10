package config

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
)

func TestWhatMarkingsCountAsIsReadAsItWasWritten(t *testing.T) {
	config := Default()
	config.Organisation.Name = "acme"
	config.TLP.Markings = map[string]string{"DIFFUSION: \"RESTREINTE\"": "TLP:AMBER", "marking-definition--1b1f1b4e-5d0c-4b0e-9b1a-0c8d6a2f7e11": "none"}
	text, err := config.encode()
	must(t, err)
	path := filepath.Join(t.TempDir(), "config.toml")
	must(t, os.WriteFile(path, text, 0o600))
	read, err := Load(path, nil)
	must(t, err)
	if !maps.Equal(read.TLP.Markings, config.TLP.Markings) {
		t.Errorf("read %v", read.TLP.Markings)
	}
}
