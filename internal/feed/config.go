package feed

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
)

var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// maxPageSize bounds what is asked of a source at once.
const maxPageSize = 10_000

// CheckName reports an error if a text can't be the name of a feed.
func CheckName(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("name: %.80q is not 1 to 63 lower-case letters, digits, hyphens and underscores, with a letter or digit first", name)
	}
	return nil
}

func (c Config) validate() error {
	if err := CheckName(c.Name); err != nil {
		return err
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return errors.New("url: it is not an http or https URL")
	case u.User != nil:
		return errors.New("url: it holds credentials; they have keys of their own")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("url: it has a query or a fragment")
	case c.Kind != KindTAXII && c.Kind != KindMISP:
		return fmt.Errorf("kind: %.40q is neither %s nor %s", c.Kind, KindTAXII, KindMISP)
	case c.Kind == KindTAXII && c.Collection == "":
		return errors.New("collection: the id of a TAXII collection is needed")
	case c.Kind == KindMISP && c.Collection != "":
		return errors.New("collection: MISP has none")
	case c.PageSize < 0 || c.PageSize > maxPageSize:
		return fmt.Errorf("page_size: %d is not between 0 and %d", c.PageSize, maxPageSize)
	case c.MaxObjects < 1:
		return errors.New("max_objects: a run must be allowed one object at least")
	}
	if err := c.Filter.validate(); err != nil {
		return err
	}
	return c.Credentials.validate(c.Kind)
}

// notes are what an operator should know of a configuration.
func (c Config) notes() (notes []string) {
	if u, err := url.Parse(c.URL); err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
		notes = append(notes, "the source is asked over plain HTTP: objects and credentials can be read and changed on the way")
	}
	return notes
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
