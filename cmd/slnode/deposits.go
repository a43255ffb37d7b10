package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/node/control"
)

// moneyOf asks the daemon how much of what is locked a release would bring back, and what objects leave, which is the
// reserve or what other keys of the collections cost; without one, nothing and the reserve as it is set.
func (a *app) moneyOf(c *cobra.Command, reserve microalgo.Text) (releases, reserved uint64) {
	client, err := control.FindDaemon(c.Context(), a.dir)
	if err != nil || client == nil {
		return 0, uint64(reserve)
	}
	defer client.Close()
	status, err := client.Status(c.Context())
	if err != nil {
		a.remark(c, "what can come back is not known: "+err.Error())
		return 0, uint64(reserve)
	}
	return status.Publishing.Releases, status.Publishing.Reserved
}

// deposits says how much of what is locked can come back; nothing where that is nothing.
func deposits(micro uint64) string {
	if micro == 0 {
		return ""
	}
	return fmt.Sprintf("; %s come back when the NFTs of objects are released", algo(micro))
}
