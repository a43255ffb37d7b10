package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/control"
)

func (a *app) webhookCommand() *cobra.Command {
	c := group("webhook", "See, try and repeat what is sent to other systems", a.webhookListCommand(), a.webhookTestCommand(), a.webhookReplayCommand())
	c.Long = `A webhook sends what comes into the view to another system, as a [[webhook]] in config.toml says. What is changed there
counts after a hangup (systemctl reload slnode).`
	return c
}

func (a *app) webhookListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the webhooks, how far each is and what is wrong",
		Args:  cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			list, err := ask(a, c, func(client *control.Client) ([]clients.WebhookInfo, error) { return client.Webhooks(c.Context()) })
			if err != nil {
				return err
			}
			return a.print(c, list, func(w io.Writer) { printWebhooks(w, list) })
		},
	}
}

func (a *app) webhookTestCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "test NAME",
		Short: "Send a signed event without objects to a webhook's receiver",
		Long: `Test sends one event, of the type "test" and with no objects, and tells what became of it. Nothing else changes. It
exits with 3 if the receiver doesn't take it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			trial, err := ask(a, c, func(client *control.Client) (clients.WebhookTrial, error) {
				return client.TestWebhook(c.Context(), args[0])
			})
			if err != nil {
				return err
			}
			if err := a.print(c, trial, func(w io.Writer) { fmt.Fprintf(w, "%s\t%s\t%.3f s\n", trial.Name, taken(trial), trial.Seconds) }); err != nil {
				return err
			}
			if trial.Problem != "" {
				return &noError{fmt.Sprintf("the webhook %q does not work: %s", args[0], trial.Problem)}
			}
			return nil
		},
	}
}

func taken(t clients.WebhookTrial) string {
	if t.Problem != "" {
		return "not taken"
	}
	return "taken"
}

func (a *app) webhookReplayCommand() *cobra.Command {
	var since string
	c := &cobra.Command{
		Use:   "replay NAME --since DATE",
		Short: "Let a webhook send again what came into the view since a date",
		Long: `Replay moves a webhook's place back. The daemon sends again what came into the view since then and is there still; the
events have the ids that they had, so that a receiver that keeps ids takes nothing twice.`,
		Example: `  slnode webhook replay siem --since 2026-01-31
  slnode webhook replay siem --since 2026-01-31T08:00:00Z`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			at, err := parseDate(since)
			if err != nil || at.After(time.Now()) {
				return fmt.Errorf("%w: --since %q is neither a date nor a time in the past, such as 2026-01-31T08:00:00Z", errUsage, since)
			}
			_, err = ask(a, c, func(client *control.Client) (nothing, error) {
				return nothing{}, client.ReplayWebhook(c.Context(), clients.WebhookReplay{Name: args[0], Since: at})
			})
			return err
		},
	}
	c.Flags().StringVar(&since, "since", "", "a `date` or time")
	_ = c.MarkFlagRequired("since") // fails only for a flag that does not exist
	return c
}

func printWebhooks(w io.Writer, list []clients.WebhookInfo) {
	fmt.Fprintf(w, "WEBHOOK\tRECEIVER\tCOLLECTION\tTYPES\tSENT UP TO\tPROBLEM\n")
	for _, h := range list {
		collection, types, sent := "(everything)", "all", "(nothing yet)"
		if h.Collection != "" {
			collection = h.Collection
		}
		if len(h.Types) > 0 {
			types = strings.Join(h.Types, ",")
		}
		if !h.SentUpTo.IsZero() {
			sent = h.SentUpTo.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", h.Name, h.Host, collection, types, sent, oneLine(h.Detail))
	}
}
