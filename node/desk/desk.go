// Package desk has the rooms of the node answer its console: it implements what the pages of internal/console ask, by
// the same functions as the operator's API. desk.go puts the console before the TAXII server, needs.go says what waits
// for somebody; the other files are called as the pages that they answer.
package desk

import (
	"net/http"
	"time"

	"github.com/serviceledger/slnode/internal/console"
	"github.com/serviceledger/slnode/node/arrivals"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/taxii"
)

// Desk answers the console.
type Desk struct {
	api    *control.API
	health lately
	press  *press
}

// Mount puts the console before the server of TAXII clients, if the configuration wants it. The operator's API gives
// tickets for it from then on.
func Mount(api *control.API, clients *taxii.Handler, settings taxii.Config) (http.Handler, error) {
	config := api.Repo.Config
	if !config.Console.Enabled {
		return clients, nil
	}
	desk := &Desk{api: api}
	desk.press = &press{Desk: desk, clients: settings}
	made, err := console.New(console.Config{
		Organisation: config.Organisation.Name, Title: config.Organisation.Title, Consortium: api.State.NameOf(api.Consortium), Node: api.State.Self,
		Clients: clients, Rooms: desk.rooms(), Hosts: settings.Hosts, Origins: config.Console.Origins, Clear: config.InTheClear(),
		Stay: config.TAXII.Session.Duration, Log: api.Log, Meter: settings.Meter,
	})
	if err != nil {
		return nil, err
	}
	api.Ticket = made.Ticket
	return made.Mount(clients), nil
}

func (d *Desk) rooms() console.Rooms {
	find := newFinder(d.api, d.press.clients)
	news := news{d, find, d.press.clients.Observer, &arrivals.Book{View: d.api.Repo.View, Now: time.Now}}
	return console.Rooms{Today: d, News: news, Trends: news, Sharing: d, Cards: cards{d}, Watch: watched{d}, Access: access{d}, Audit: audit{d}, Node: d, Feeds: feedRoom{d}, Outbox: d, Me: access{d},
		Finder: find, Library: shelf{d, find}, Press: d.press, Feedback: feedback{d}, Sightings: sighted{d}}
}
