package export

import (
	"bufio"
	"context"
	"fmt"

	"github.com/google/uuid"
)

// writeBundle writes the indicators in force, whatever their patterns, byte for byte as they were published.
func (l *List) writeBundle(ctx context.Context, w *bufio.Writer) error {
	id := uuid.NewSHA1(uuid.NameSpaceURL, fmt.Append(nil, "slnode export ", l.asOf.UnixMicro()))
	fmt.Fprintf(w, `{"type":"bundle","id":"bundle--%s"`, id)
	separator := `,"objects":[`
	for object, err := range l.source(ctx) {
		if err != nil {
			return fmt.Errorf("reading the indicators: %w", err)
		}
		if !l.read(object).inForce {
			continue
		}
		if _, err := fmt.Fprintf(w, "%s\n%s", separator, object.JSON); err != nil {
			return err
		}
		separator = ","
	}
	if separator == "," {
		w.WriteString("\n]")
	}
	w.WriteString("}\n") // w keeps the error
	return nil
}
