package export

import (
	"bufio"
	"fmt"
	"strings"
)

// beginZeek writes the line that names the columns. Zeek takes what comes before it for no part of the table.
func beginZeek(w *bufio.Writer, l *List) {
	l.remark(w, "#")
	fmt.Fprintf(w, "#fields\tindicator\tindicator_type\tmeta.source\tmeta.desc\n")
}

func lineZeek(w *bufio.Writer, i Item) {
	value := i.Value
	var kind string
	switch i.Kind {
	case IPv4, IPv6:
		kind = "ADDR"
		if strings.Contains(value, "/") {
			kind = "SUBNET"
		}
	case Domain:
		kind = "DOMAIN"
	case URL:
		kind = "URL"
		_, value, _ = strings.Cut(value, "://") // Zeek looks for the host and the path
	default:
		kind = "FILE_HASH"
	}
	fmt.Fprintf(w, "%s\tIntel::%s\tslnode\t%s\n", value, kind, i.indicatorID())
}
