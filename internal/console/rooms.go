package console

import "github.com/serviceledger/slnode/taxii"

// Rooms is what the pages ask, a field for each page that asks anything. The node's package node/desk implements them.
//
// Errors are those of package taxii: ErrNotFound, ErrForbidden and *InvalidError, whose reason is shown. Of others an
// administrator is shown the text, and everybody else that there was one.
type Rooms struct {
	Today     Today
	News      News
	Trends    Trends
	Sharing   Sharing
	Cards     Cards
	Watch     Watch
	Access    Access
	Audit     Audit
	Node      Node
	Feeds     Feeds
	Outbox    Outbox
	Me        Me
	Finder    Finder
	Library   Library
	Press     Press
	Feedback  Feedback
	Sightings Sightings
}

// By is who asks a room for something, for what it may see and for the audit log.
type By struct {
	taxii.Principal
	Remote  string // the browser's address
	Request string // as in the log
}
