// Package cluster brings a consortium up on this machine: it makes the nodes of organisations with the real program,
// founds, admits, funds, starts, stops and kills, and waits until what was begun is there. The end-to-end tests, the
// benchmarks and the command testnet share it.
package cluster

import (
	"context"
	"fmt"
	"time"
)

// pace is how often it is looked whether something has come true.
const pace = 5 * time.Millisecond

// Failure is a step of bringing a cluster up that went wrong.
type Failure struct {
	What string // a sentence without its end, such as "initialising alpha failed"
	Log  string // the file that may say more
	Err  error  // the cause; nil where nothing came in time
}

func (f *Failure) Error() string {
	if f.Err == nil {
		return f.What
	}
	return fmt.Sprintf("%s: %v", f.What, f.Err)
}

func (f *Failure) Unwrap() error { return f.Err }

// Until looks every few milliseconds whether something has come true. An error ends it, as the end of the context does.
func Until(ctx context.Context, is func(context.Context) (bool, error)) error {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		if ok, err := is(ctx); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Found makes a consortium of a node that has money and does not run.
func (n *Node) Found(ctx context.Context, name string) error {
	if err := n.do(ctx, "consortium", "create", "--name", name); err != nil {
		return &Failure{What: "founding the consortium failed", Log: n.Log, Err: err}
	}
	return nil
}

// Admit lets a newcomer in, with the three commands that its operator and this node's give. The files that go from hand
// to hand lie beside the newcomer's repository.
func (n *Node) Admit(ctx context.Context, newcomer *Node) error {
	request, invite := newcomer.Dir+".request", newcomer.Dir+".invite"
	if err := newcomer.do(ctx, "member", "request", "-o", request); err != nil {
		return &Failure{What: "the request of " + newcomer.Name + " failed", Log: newcomer.Log, Err: err}
	}
	if err := n.do(ctx, "member", "admit", request, "-o", invite); err != nil {
		return &Failure{What: "admitting " + newcomer.Name + " failed", Log: n.Log, Err: err}
	}
	if err := newcomer.do(ctx, "join", invite); err != nil {
		return &Failure{What: "joining as " + newcomer.Name + " failed", Log: newcomer.Log, Err: err}
	}
	return nil
}

// Membership is what a node knows about its consortium, as far as a cluster asks.
type Membership struct {
	Members []struct {
		Connected bool `json:"connected"`
	} `json:"members"`
	Collections []struct {
		ID      string `json:"id"`
		Default bool   `json:"default"`
		Write   bool   `json:"can_write"`
	} `json:"collections"`
}

// Writable is the id of the default collection, once the node can write it.
func (m Membership) Writable() (id string) {
	for _, c := range m.Collections {
		if c.Default && c.Write {
			id = c.ID
		}
	}
	return id
}

// Connected is with how many members the node is connected.
func (m Membership) Connected() (count int) {
	for _, member := range m.Members {
		if member.Connected {
			count++
		}
	}
	return count
}

// Settled waits until the node can write the default collection and is connected with some other members, and returns
// the collection's id.
func (n *Node) Settled(ctx context.Context, others int) (collection string, err error) {
	var seen Membership
	err = Until(ctx, func(ctx context.Context) (bool, error) {
		now := Membership{}
		if err := n.Ask(ctx, "/admin/consortium", &now); err == nil { // it may have begun just now
			seen = now
		}
		return seen.Writable() != "" && seen.Connected() >= others, nil
	})
	if err != nil {
		return "", fmt.Errorf("%s can't write the default collection, or is not connected with %d: %+v: %w", n.Name, others, seen, err)
	}
	return seen.Writable(), nil
}
