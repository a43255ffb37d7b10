package warnlist

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

//go:embed lists.bin.gz
var packed []byte

// maxUnpacked bounds what the lists take that come with the program, in bytes.
const maxUnpacked = 32 << 20

// heading begins the lists: the form's version.
const heading = "slnode warninglists 1"

// Builtin unpacks the lists that come with the program. That takes a moment, and to make them findable another one:
// whoever needs them keeps them.
func Builtin() ([]Source, error) {
	sources, err := Unpack(packed)
	if err != nil {
		return nil, fmt.Errorf("the lists that come with the program: %w", err)
	}
	return sources, nil
}

// BuiltinDigest names them, whatever is in them. It is told whenever somebody asks whether lists have changed.
var BuiltinDigest = sync.OnceValue(func() [32]byte { return sha256.Sum256(packed) })

// Pack writes lists in the form in which they are in the program: compressed lines, for each list one with what it is
// and how many entries it has, and then these.
func Pack(sources []Source) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(w, heading)
	for _, s := range sources {
		fields := []string{s.ID, s.Name, s.Class.String(), s.Type, s.Date, fmt.Sprint(len(s.Values))}
		for _, text := range append(fields, s.Values...) {
			if strings.ContainsAny(text, "\t\n") {
				return nil, fmt.Errorf("the list %s: %q has a tab or a line end in it", s.ID, text)
			}
		}
		fmt.Fprintln(w, strings.Join(fields, "\t"))
		for _, value := range s.Values {
			fmt.Fprintln(w, value)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Unpack undoes Pack.
func Unpack(data []byte) ([]Source, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxUnpacked+1))
	if err != nil {
		return nil, err
	}
	if len(plain) > maxUnpacked {
		return nil, errors.New("they are too large")
	}
	lines := strings.Split(strings.TrimSuffix(string(plain), "\n"), "\n")
	if lines[0] != heading {
		return nil, errors.New("they are not in the form that this program reads")
	}
	var sources []Source
	for lines = lines[1:]; len(lines) > 0; {
		fields := strings.Split(lines[0], "\t")
		if len(fields) != 6 {
			return nil, fmt.Errorf("a list has %d fields", len(fields))
		}
		s := Source{List: List{ID: fields[0], Name: fields[1], Type: fields[3], Date: fields[4]}}
		if s.Class, err = ParseClass(fields[2]); err != nil {
			return nil, err
		}
		var n int
		if _, err := fmt.Sscan(fields[5], &n); err != nil || n < 0 || n > len(lines)-1 {
			return nil, fmt.Errorf("the list %s ends early", s.ID)
		}
		s.Values, lines = lines[1:1+n], lines[1+n:]
		sources = append(sources, s)
	}
	return sources, nil
}
