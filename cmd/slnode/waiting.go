package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/node/control"
)

// explainPace is how often a command that takes long asks what it waits for.
const explainPace = 2 * time.Second

// explain says what a daemon waits for, while a command takes long that needs something to be published. Without
// it a command would hang and say nothing: what is wrong stands in the daemon's log. A node of this process logs by
// itself.
func (a *app) explain(c *cobra.Command, client *control.Client) (stop func()) {
	if !client.IsDaemon() {
		return func() {}
	}
	ctx, cancel := context.WithCancel(c.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for told := ""; pause(ctx, explainPace) == nil; {
			status, err := client.Status(ctx)
			if err != nil || status.Publishing.Problem == told {
				continue // the command itself says when the node can't be asked
			}
			if told = status.Publishing.Problem; told != "" {
				a.remark(c, "publishing waits, and this command with it: "+oneLine(status.Publishing.Detail))
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
