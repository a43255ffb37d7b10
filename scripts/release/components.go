package main

import (
	"errors"
	"os"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/CycloneDX/cyclonedx-gomod/pkg/generate/bin"
	"github.com/rs/zerolog"
)

// writeComponents lists the modules that are linked into the program, as the program itself has them, in CycloneDX. The
// list has no serial number: it would be another one each time.
func writeComponents(t target, path string) error {
	generator, err := bin.NewGenerator(t.program, bin.WithIncludeStdlib(true), bin.WithLogger(zerolog.Nop()))
	if err != nil {
		return err
	}
	list, err := generator.Generate()
	if err != nil {
		return err
	}
	list.Metadata.Timestamp = t.date.Format(time.RFC3339)
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(cyclonedx.NewBOMEncoder(f, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(list), f.Close())
}
