package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/node/control"
)

// releasable asks the daemon how much of what is locked a release would bring back; 0 if none runs.
func (a *app) releasable(c *cobra.Command) uint64 {
	client, err := control.FindDaemon(c.Context(), a.dir)
	if err != nil || client == nil {
		return 0
	}
	defer client.Close()
	status, err := client.Status(c.Context())
	if err != nil {
		a.remark(c, "what can come back is not known: "+err.Error())
	}
	return status.Publishing.Releases
}

// deposits says how much of what is locked can come back; nothing where that is nothing.
func deposits(micro uint64) string {
	if micro == 0 {
		return ""
	}
	return fmt.Sprintf("; %s come back when the NFTs of objects are released", algo(micro))
}
