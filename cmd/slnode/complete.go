package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/feeds"
	"github.com/serviceledger/slnode/repo/accounts"
)

// values gives what may stand somewhere in a command line.
type values func(context.Context) []string

// fixed are values that are always the same.
func fixed(words ...string) values { return func(context.Context) []string { return words } }

// asked are values that a daemon knows. Without one there are none: a shell doesn't wait for a node to start.
func (a *app) asked(question func(context.Context, *control.Client) []string) values {
	return func(ctx context.Context) []string {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		client, err := control.FindDaemon(ctx, a.dir)
		if err != nil || client == nil {
			return nil
		}
		defer client.Close()
		return question(ctx, client)
	}
}

// named lists the names of what a daemon lists.
func named[T any](list func(*control.Client, context.Context) ([]T, error), name func(T) string) func(context.Context, *control.Client) []string {
	return func(ctx context.Context, client *control.Client) (names []string) {
		all, err := list(client, ctx)
		if err != nil {
			return nil // a shell has nowhere to say it
		}
		for _, one := range all {
			names = append(names, name(one))
		}
		return names
	}
}

func memberNames(ctx context.Context, client *control.Client) (names []string) {
	info, _ := client.Consortium(ctx) // a shell has nowhere to say it
	for _, m := range info.Members {
		if m.Known && !m.Self && m.Removed == 0 {
			names = append(names, m.Name)
		}
	}
	return names
}

func collectionNames(ctx context.Context, client *control.Client) (names []string) {
	info, _ := client.Consortium(ctx) // a shell has nowhere to say it
	for _, c := range info.Collections {
		if c.Alias != "" {
			names = append(names, c.Alias)
		} else {
			names = append(names, c.ID)
		}
	}
	return names
}

// completions says what the flags and arguments of all commands may be, by name.
type completions struct {
	flags     map[string]values   // "FLAG", or "command FLAG" where it differs
	arguments map[string][]values // by command; the last of them for all that follow
}

func (a *app) completions() completions {
	roles, levels := fixed("reader", "publisher", "admin"), fixed("clear", "green", "amber", "amber+strict", "red")
	members, collections, types := a.asked(memberNames), a.asked(collectionNames), fixed(stix.Types()...)
	users := a.asked(named((*control.Client).Accounts, func(i clients.AccountInfo) string { return i.User }))
	sources := a.asked(named((*control.Client).Feeds, func(i feeds.Info) string { return i.Name }))
	keys := a.asked(named((*control.Client).Keys, func(i clients.KeyInfo) string { return i.Name }))
	tokens := a.asked(named((*control.Client).Tokens, func(t accounts.Token) string { return t.ID }))
	c := completions{
		flags: map[string]values{
			"role": roles, "type": types, "types": types, "version": fixed("last", "first", "all"), "user": users,
			"format": fixed("plain", "panos", "csv", "hosts", "rpz", "suricata", "zeek", "stix"), "feed add user": fixed("env:", "file:"),
			"kind":       fixed("ip", "ipv4", "ipv6", "domain", "url", "hash", "md5", "sha1", "sha256", "sha512"),
			"collection": collections, "into": collections, "read": collections, "write": collections, "feed add collection": fixed(),
			"to": members, "readers": members, "contributors": members, "accounts": members, "root": members, "default-level": levels,
			"markings": levels, "unmarked": fixed("collection", "refuse", "clear", "green", "amber", "amber+strict", "red"),
			"class": fixed("hard", "shared", "context"), "warninglists": fixed("keep", "drop"),
			"metadata": fixed("open", "sealed"), "padding": fixed("coarse"), "from": fixed("now", "all"), "network": fixed("private", "public"),
			"feed add kind": fixed("taxii", "misp"), "audit from": fixed(), "feed test kind": fixed("taxii", "misp"),
			"feed test user": fixed("env:", "file:"), "feed test collection": fixed(),
		},
		arguments: map[string][]values{
			"account role": {users, roles, fixed()}, "apikey remove": {keys, fixed()}, "apikey limit": {keys, fixed()}, "token revoke": {tokens, fixed()},
			"collection grant": {collections, members}, "collection revoke": {collections, members}, "member remove": {members, fixed()},
		},
	}
	for _, command := range []string{"passwd", "restrict", "remove", "limit"} {
		c.arguments["account "+command] = []values{users, fixed()}
	}
	for _, command := range []string{"show", "rotate", "set"} {
		c.arguments["collection "+command] = []values{collections, fixed()}
	}
	for _, command := range []string{"run", "remove", "test", "pause", "resume"} {
		c.arguments["feed "+command] = []values{sources, fixed()}
	}
	hooks := a.asked(named((*control.Client).Webhooks, func(i clients.WebhookInfo) string { return i.Name }))
	for _, command := range []string{"test", "replay"} {
		c.arguments["webhook "+command] = []values{hooks, fixed()}
	}
	for _, command := range []string{"get", "show", "verify", "withdraw"} {
		c.arguments[command] = []values{fixed()}
	}
	return c
}

// register gives a command and those below it what completes them.
func (c completions) register(command *cobra.Command) {
	path := strings.TrimPrefix(strings.TrimPrefix(command.CommandPath(), "slnode"), " ")
	command.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		list, found := c.flags[path+" "+f.Name]
		if !found {
			list, found = c.flags[f.Name]
		}
		if found {
			_ = command.RegisterFlagCompletionFunc(f.Name, list.ofFlag(f)) // fails for a flag that does not exist only
		}
	})
	if lists := c.arguments[path]; lists != nil {
		command.ValidArgsFunction = func(command *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return lists[min(len(args), len(lists)-1)](command.Context()), cobra.ShellCompDirectiveNoFileComp
		}
	}
	for _, sub := range command.Commands() {
		c.register(sub)
	}
}

// ofFlag completes a flag's value; of a list what comes after the last comma.
func (v values) ofFlag(f *pflag.Flag) cobra.CompletionFunc {
	return func(command *cobra.Command, _ []string, typed string) (words []string, _ cobra.ShellCompDirective) {
		before := ""
		if f.Value.Type() == "stringSlice" {
			before = typed[:strings.LastIndexByte(typed, ',')+1]
		}
		for _, word := range v(command.Context()) {
			words = append(words, before+word)
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}
