package main

import (
	"bufio"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/repo/auditlog"
	"github.com/serviceledger/slnode/repo/config"
)

func (a *app) auditLogCommand() *cobra.Command {
	var filter auditlog.Filter
	var since string
	c := &cobra.Command{
		Use:   "audit-log",
		Short: "Show who read, published and changed what on this node",
		Long: `Audit-log prints the audit log, a JSON object a line, the oldest first: who read which collection, published, withdrew,
logged in or failed to, made or changed accounts, collections, feeds, keys and memberships, when, and from where. It holds no secret and no STIX
id; a publication's status names its objects. It is read from the files in the folder audit, of a daemon that runs up
to its last second. "slnode audit" is something else: it checks the chain.`,
		Example: `  slnode audit-log --since 2026-01-31 --event publish
  slnode audit-log --user key:opencti > opencti.jsonl`,
		Args: exactArgs(0),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if _, err := config.Read(a.dir); err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			if since != "" {
				if filter.Since, err = parseDate(since); err != nil {
					return fmt.Errorf("%w: --since %q is neither a date nor a time such as 2026-01-31T08:00:00Z", errUsage, since)
				}
			}
			out := bufio.NewWriter(c.OutOrStdout())
			err = auditlog.Read(c.Context(), a.dir, filter, func(line []byte) error {
				_, err := out.Write(line)
				return errors.Join(err, out.WriteByte('\n'))
			})
			return errors.Join(err, out.Flush())
		},
	}
	c.Flags().StringVar(&since, "since", "", "from a `date` or time on")
	c.Flags().StringVar(&filter.Event, "event", "", "events of one `name`, such as read, publish, login, refused")
	c.Flags().StringVar(&filter.User, "user", "", "what one `user` did; key:NAME for an API key")
	return c
}
