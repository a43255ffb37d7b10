package console

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// unseen are characters that change how what is around them looks, or are not seen at all.
func unseen(r rune) bool { return r != '\n' && r != '\t' && r != '\r' && hidden(r) }

// revealPage writes characters that are not seen as what they are, ⟨U+202E⟩ say, in the text of a page; what is between
// < and >, and in fields that are sent back, stays. In text and attributes html/template leaves neither of the two.
func revealPage(page []byte) []byte {
	if bytes.IndexFunc(page, unseen) < 0 {
		return page
	}
	out := make([]byte, 0, len(page)+len(page)/8)
	for len(page) > 0 {
		text := page
		if i := bytes.IndexByte(page, '<'); i >= 0 {
			text = page[:i]
		}
		out, page = appendVisible(out, text), page[len(text):]
		if len(page) == 0 {
			break
		}
		end := bytes.IndexByte(page, '>') + 1
		if bytes.HasPrefix(page, []byte("<textarea")) {
			end = bytes.Index(page, []byte("</textarea>"))
		}
		if end <= 0 {
			end = len(page)
		}
		out, page = append(out, page[:end]...), page[end:]
	}
	return out
}

func appendVisible(out, text []byte) []byte {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if unseen(r) {
			out = fmt.Appendf(out, "⟨U+%04X⟩", r)
		} else {
			out = append(out, text[:size]...)
		}
		text = text[size:]
	}
	return out
}
