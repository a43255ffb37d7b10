package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/feeds"
	"github.com/serviceledger/slnode/repo/config"
)

func (a *app) feedCommand() *cobra.Command {
	return group("feed", "Pull objects from TAXII collections and MISP, and publish what is new",
		a.feedAddCommand(), a.feedListCommand(), a.feedTestCommand(), a.feedRunCommand(), a.feedPauseCommand(), a.feedResumeCommand(),
		a.feedRemoveCommand())
}

func (a *app) feedAddCommand() *cobra.Command {
	f := config.Feed{}
	var start bool
	c := &cobra.Command{
		Use:   "add NAME URL",
		Short: "Pull from a source, on a schedule",
		Long: `Add writes a feed into the configuration. It is paused: look at it with slnode feed test, which takes the same
arguments before, too, and let it begin with slnode feed resume. With --start it begins at once, if a daemon runs.

URL is a TAXII 2.1 API root, with --collection, or the address of a MISP instance, with --kind misp. A secret is given as
env:NAME, the name of an environment variable of the daemon, or file:PATH, or as - to be read from standard input and
kept in config.toml; never as itself, since arguments show in the list of processes.`,
		Example: `  slnode feed add otx https://otx.alienvault.com/taxii/root --collection user_AlienVault --user file:/etc/slnode/otx
  slnode feed add cert https://opencti.example/taxii2/root --collection 719d8ee6-7359-41ee-a839-046c59cc782e --token env:OPENCTI_TOKEN --types indicator --markings clear,green
  slnode feed add misp https://misp.example --kind misp --api-key file:/etc/slnode/misp --into ransomware --interval 15m`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			f.Name, f.URL, f.Paused = args[0], args[1], !start
			if err := checkTypes(f.Types); err != nil {
				return err
			}
			if err := readSecrets(c, &f); err != nil {
				return err
			}
			info, err := ask(a, c, func(client *control.Client) (feeds.Info, error) { return client.AddFeed(c.Context(), f) })
			if err != nil {
				return err
			}
			return a.print(c, info, func(w io.Writer) {
				printFeeds(w, []feeds.Info{info})
				if info.Paused {
					fmt.Fprintf(w, "\nIt is paused. Next: slnode feed test %s, then slnode feed resume %s\n", info.Name, info.Name)
				}
			})
		},
	}
	c.Flags().BoolVar(&start, "start", false, "let it run at once, not only after slnode feed resume")
	feedFlags(c, &f)
	return c
}

// feedFlags gives a command the settings of a feed.
func feedFlags(c *cobra.Command, f *config.Feed) {
	flags := c.Flags()
	flags.StringVar(&f.Kind, "kind", "taxii", "taxii or misp")
	flags.StringVar(&f.Collection, "collection", "", "`id` of the TAXII collection")
	flags.StringVar(&f.Into, "into", "", "`collection` to publish in: its id, an alias of this organisation's, or owner/alias (default: the consortium's)")
	flags.DurationVar(&f.Interval.Duration, "interval", time.Hour, "how often")
	flags.StringVar(&f.User, "user", "", "user of HTTP Basic, itself or a `secret`")
	flags.StringVar(&f.Password, "password", "", "password of HTTP Basic: a `secret`")
	flags.StringVar(&f.Token, "token", "", "bearer token: a `secret`")
	flags.StringVar(&f.APIKey, "api-key", "", "API key: a `secret`")
	flags.StringVar(&f.APIKeyHeader, "api-key-header", "", "`header` for the API key (default X-API-Key, for MISP Authorization)")
	flags.StringVar(&f.ClientCert, "client-cert", "", "`file` with a client certificate, in PEM")
	flags.StringVar(&f.ClientKey, "client-key", "", "`file` with its key")
	flags.StringVar(&f.CA, "ca", "", "`file` with the certificates that the source may have, in place of the system's")
	flags.StringSliceVar(&f.Types, "types", nil, "STIX `types` to take")
	flags.StringSliceVar(&f.Markings, "markings", nil, "TLP `levels` or ids of marking definitions to take")
	flags.IntVar(&f.MinConfidence, "min-confidence", 0, "least confidence to take")
	flags.StringSliceVar(&f.Labels, "labels", nil, "`labels` of which an object must have one")
	flags.StringSliceVar(&f.Authors, "authors", nil, "`ids` in created_by_ref to take")
	flags.StringVar(&f.Since, "since", "", "take what was made since a `date`")
	flags.StringVar(&f.Unmarked, "unmarked", "collection", "objects without a marking: collection (its default level), refuse, or a TLP `level`")
	flags.IntVar(&f.MaxObjects, "max-objects", 100, "most objects that a run publishes")
	flags.Float64Var(&f.MaxALGO, "max-algo", 0, "most `ALGO` that a run spends; 0 for no limit")
	flags.IntVar(&f.PageSize, "page-size", 0, "objects (MISP: events) to ask for at once; 0 for the usual")
}

// readSecrets reads the secrets that are given as -, and refuses those that are given as themselves.
func readSecrets(c *cobra.Command, f *config.Feed) error {
	stdin := ""
	for _, one := range []struct {
		flag   string
		secret *string
	}{{"password", &f.Password}, {"token", &f.Token}, {"api-key", &f.APIKey}, {"user", &f.User}} {
		switch text := *one.secret; {
		case text == "", one.flag == "user" && text != "-", strings.HasPrefix(text, "env:"), strings.HasPrefix(text, "file:"):
		case text != "-":
			return fmt.Errorf("%w: --%s shows a secret in the list of processes; give env:NAME, file:PATH or - for standard input", errUsage, one.flag)
		case stdin != "":
			return fmt.Errorf("%w: --%s and --%s can't both be read from standard input", errUsage, stdin, one.flag)
		default:
			stdin = one.flag
			line, err := io.ReadAll(io.LimitReader(c.InOrStdin(), 64<<10))
			if err != nil {
				return fmt.Errorf("reading --%s: %w", one.flag, err)
			}
			*one.secret = strings.TrimSpace(string(line))
		}
	}
	return nil
}

func (a *app) feedListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the feeds, their last runs and what went wrong",
		Args:  cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			list, err := ask(a, c, func(client *control.Client) ([]feeds.Info, error) { return client.Feeds(c.Context()) })
			if err != nil {
				return err
			}
			return a.print(c, list, func(w io.Writer) { printFeeds(w, list) })
		},
	}
}

func (a *app) feedTestCommand() *cobra.Command {
	f := config.Feed{}
	c := &cobra.Command{
		Use:   "test NAME [URL]",
		Short: "Find out whether a feed works, what a run would publish and what it would cost",
		Long: `Test asks the source for its collection and the next pages, and publishes nothing. It exits with 3 if the feed would
not work. With a URL it tests a feed that is not there, before it is added: NAME and the flags are those of slnode feed add,
and nothing is written.`,
		Example: `  slnode feed test otx
  slnode feed test otx https://otx.alienvault.com/taxii/root --collection user_AlienVault --user file:/etc/slnode/otx`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			test, err := feedTest(c, args, f)
			if err != nil {
				return err
			}
			trial, err := ask(a, c, test)
			if err != nil {
				return err
			}
			if err := a.print(c, trial, func(w io.Writer) { printTrial(w, trial) }); err != nil {
				return err
			}
			if trial.Trial.Problem != "" {
				return &noError{fmt.Sprintf("the feed %q does not work: %s", args[0], trial.Trial.Problem)}
			}
			return nil
		},
	}
	feedFlags(c, &f)
	return c
}

// feedTest is what a test asks the node for: of a feed that is there, or of one that need not be.
func feedTest(c *cobra.Command, args []string, f config.Feed) (func(*control.Client) (feeds.Trial, error), error) {
	if len(args) == 1 {
		var set string
		c.LocalNonPersistentFlags().VisitAll(func(flag *pflag.Flag) {
			if flag.Changed {
				set = flag.Name
			}
		})
		if set != "" {
			return nil, fmt.Errorf("%w: --%s is of a feed that is not there yet; say its URL, too: slnode feed test %s URL", errUsage, set, args[0])
		}
		return func(client *control.Client) (feeds.Trial, error) { return client.TestFeed(c.Context(), args[0]) }, nil
	}
	f.Name, f.URL = args[0], args[1]
	if err := errors.Join(checkTypes(f.Types), readSecrets(c, &f)); err != nil {
		return nil, err
	}
	return func(client *control.Client) (feeds.Trial, error) { return client.TryFeed(c.Context(), f) }, nil
}

func (a *app) feedRunCommand() *cobra.Command {
	var again bool
	c := &cobra.Command{
		Use:   "run NAME",
		Short: "Run a feed now",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			report, err := ask(a, c, func(client *control.Client) (feeds.Report, error) {
				return client.RunFeed(c.Context(), args[0], again)
			})
			if err != nil {
				return err
			}
			if err := a.print(c, report, func(w io.Writer) { printFeedReport(w, report, "published") }); err != nil {
				return err
			}
			if report.Problem != "" {
				return errors.New(report.Problem)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&again, "again", false, "from the source's beginning; what is published already costs nothing")
	return c
}

func (a *app) feedPauseCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pause NAME",
		Short: "Make a feed rest; a run that is under way ends",
		Long: `Pause makes a feed rest until slnode feed resume. It keeps its place in the source. "slnode feed run" runs it all the
same.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.changeFeed(c, func(client *control.Client) (feeds.Info, error) { return client.PauseFeed(c.Context(), args[0]) })
		},
	}
}

func (a *app) feedResumeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "resume NAME",
		Short: "Let a feed run on its schedule",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.changeFeed(c, func(client *control.Client) (feeds.Info, error) { return client.ResumeFeed(c.Context(), args[0]) })
		},
	}
}

// changeFeed does something to a feed and shows what it is then.
func (a *app) changeFeed(c *cobra.Command, do func(*control.Client) (feeds.Info, error)) error {
	info, err := ask(a, c, do)
	if err != nil {
		return err
	}
	return a.print(c, info, func(w io.Writer) { printFeeds(w, []feeds.Info{info}) })
}

func (a *app) feedRemoveCommand() *cobra.Command {
	var agreed *agreement
	c := &cobra.Command{
		Use:   "remove NAME",
		Short: "End a feed; what it published stays",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := agreed.confirm(c, fmt.Sprintf("Remove the feed %s, with its settings and its place in the source?", args[0]), nil); err != nil {
				return err
			}
			_, err := ask(a, c, func(client *control.Client) (struct{}, error) {
				return struct{}{}, client.RemoveFeed(c.Context(), args[0])
			})
			return err
		},
	}
	agreed = asks(c)
	return c
}

func printFeeds(w io.Writer, list []feeds.Info) {
	fmt.Fprintf(w, "FEED\tKIND\tURL\tINTO\tEVERY\tLAST RUN\tNEW\tKNOWN\tREFUSED\tPROBLEM\n")
	for _, f := range list {
		into := f.Into
		if into == "" {
			into = "(default)"
		}
		every := f.Interval
		if f.Paused {
			every = "paused"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s", f.Name, f.Kind, f.URL, into, every)
		if last := f.Last; last != nil {
			fmt.Fprintf(w, "\t%s\t%d\t%d\t%d\t%s", last.Ended.Format(time.RFC3339), last.New, last.Known, last.Refused, last.Problem)
		}
		fmt.Fprintln(w)
	}
}

func printTrial(w io.Writer, t feeds.Trial) {
	reached := "yes"
	if !t.Trial.Source.Reached {
		reached = "no"
	}
	fmt.Fprintf(w, "feed\t%s\nsource\t%s %s %s\ncredentials\t%s\n", t.Feed.Name, t.Feed.Kind, t.Feed.URL, t.Feed.Collection, t.Trial.Credentials)
	fmt.Fprintf(w, "reached\t%s\nwhich is\t%s\npublishes in\t%s\n", reached, t.Trial.Source.Title, t.Into)
	for _, note := range slices.Concat(t.Trial.Notes, t.Trial.Source.Hints) {
		fmt.Fprintf(w, "note\t%s\n", note)
	}
	printFeedReport(w, *t.Trial.Report, "would be published")
	fmt.Fprintf(w, "a run may\tpublish %d objects", t.MaxObjects)
	if t.MaxCost > 0 {
		fmt.Fprintf(w, " for %s ALGO", algo(t.MaxCost))
	}
	fmt.Fprintf(w, "; the account can spend %s ALGO\n", algo(t.Free))
}

func printFeedReport(w io.Writer, r feeds.Report, published string) {
	fmt.Fprintf(w, "looked at\t%d objects on %d pages in %s\n", r.Objects, r.Pages, r.Ended.Sub(r.Started).Round(time.Millisecond))
	fmt.Fprintf(w, "%s\t%d, for %s ALGO\n", published, r.New, algo(r.Cost))
	fmt.Fprintf(w, "known already\t%d\n", r.Known)
	for _, filter := range slices.Sorted(maps.Keys(r.Passed)) {
		fmt.Fprintf(w, "passed over\t%d by %s\n", r.Passed[filter], filter)
	}
	fmt.Fprintf(w, "refused\t%d\n", r.Refused)
	for _, reason := range r.Reasons {
		fmt.Fprintf(w, "\t%d × %s (%s)\n", reason.Count, reason.Reason, reason.Example)
	}
	if r.Warned > 0 {
		fmt.Fprintf(w, "warned\tof %d, whose values are on warning lists\n", r.Warned)
	}
	for _, remark := range r.Remarks {
		fmt.Fprintf(w, "note\t%d × %s (%s)\n", remark.Count, remark.Reason, remark.Example)
	}
	if r.Rest {
		fmt.Fprintf(w, "the rest\tcomes in the next run\n")
	}
	if r.Problem != "" {
		fmt.Fprintf(w, "problem\t%s\n", r.Problem)
	}
}
