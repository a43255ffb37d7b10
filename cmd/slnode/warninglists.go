package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/internal/disk"
	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/warnlist"
	"github.com/serviceledger/slnode/node/appraisal"
	"github.com/serviceledger/slnode/repo/config"
)

func (a *app) warninglistsCommand() *cobra.Command {
	c := group("warninglists", "Lists of values that are called malicious by mistake",
		a.warninglistsListCommand(), a.warninglistsImportCommand(), a.warninglistsCheckCommand())
	c.Long = `Warning lists name values that many use or that belong to nobody, such as public resolvers, cloud networks, private addresses
and the hashes of empty files. Some of MISP's come with the program; the folder warninglists of the repository has those
of your own, in MISP's form. To be on a list means, by its class:

  hard       to call the value malicious is a mistake. An indicator that does is refused, unless it is published with
             --publish-anyway, and such a value is in no list for firewalls and sensors
  shared     many who are no attackers use it: a remark when it is published; export --warninglists drop leaves it out
  context    something to know about the value, no more

A URL is not on the list of a shared host that it is at. Nothing is ever deleted or hidden because of a list.`
	return c
}

// warningLists opens those of the repository. What is wrong with some of them "list" says.
func (a *app) warningLists() (*appraisal.Lists, error) {
	c, err := config.Read(a.dir)
	if err != nil {
		return nil, err
	}
	return appraisal.OpenLists(a.dir, c, slog.New(slog.DiscardHandler)), nil
}

func (a *app) warninglistsListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the warning lists",
		Args:  cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			lists, err := a.warningLists()
			if err != nil {
				return err
			}
			list, wrong, err := lists.All()
			if err != nil {
				return err
			}
			err = a.print(c, list, func(w io.Writer) {
				fmt.Fprintf(w, "LIST\tCLASS\tDATE\tENTRIES\tNAME\n")
				for _, l := range list {
					fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", l.ID, l.Class, l.Date, l.Entries, l.Name)
				}
			})
			if err != nil || len(wrong) == 0 {
				return err
			}
			return fmt.Errorf("some lists can't be used: %w", errors.Join(wrong...))
		},
	}
}

// checked is what the lists say of a value.
type checked struct {
	observable.Value
	Lists []warnlist.Hit `json:"lists"`
}

func (a *app) warninglistsCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check VALUE...",
		Short: "Tell which warning lists values are on",
		Long: `Check looks addresses, networks, names, URLs and hashes up, defanged or not. It exits with 3 if one is on a list of the
class hard or shared.`,
		Example: `  slnode warninglists check 8.8.8.8 drive[.]google[.]com`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			lists, err := a.warningLists()
			if err != nil {
				return err
			}
			result, warned := []checked{}, false
			for _, arg := range args {
				found := observable.Parse(arg)
				if len(found) == 0 {
					return fmt.Errorf("%w: %.100q is no address, name, URL or hash", errUsage, arg)
				}
				for _, v := range found {
					hits, err := lists.Match(v)
					if err != nil {
						return err
					}
					warned = warned || warnlist.Gravest(hits).IsAgainst()
					result = append(result, checked{v, hits})
				}
			}
			err = a.print(c, result, func(w io.Writer) {
				fmt.Fprintf(w, "VALUE\tCLASS\tLIST\tDATE\n")
				for _, one := range result {
					if len(one.Lists) == 0 {
						fmt.Fprintf(w, "%s\tnone\n", one.Text)
					}
					for _, hit := range one.Lists {
						fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", one.Text, hit.Class, hit.List, hit.Date)
					}
				}
			})
			if err == nil && warned {
				err = &noError{"there are values that are called malicious by mistake"}
			}
			return err
		},
	}
}

func (a *app) warninglistsImportCommand() *cobra.Command {
	class := ""
	force := false
	c := &cobra.Command{
		Use:   "import DIR|FILE...",
		Short: "Take lists in MISP's form into the repository",
		Long: `Import copies lists into the folder warninglists of the repository: files in MISP's form, or all of a folder such as a
checkout of github.com/MISP/misp-warninglists (its folder lists, or one of the folders in it). A running daemon takes them over within
seconds. Lists of regular expressions are passed over. They are in no backup: keep where they come from.`,
		Example: `  slnode warninglists import misp-warninglists/lists/tranco10k --class shared
  slnode warninglists import own-infrastructure.json --class hard`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := warnlist.ParseClass(class); class != "" && err != nil {
				return fmt.Errorf("%w: --class: %w", errUsage, err)
			}
			files, err := listFiles(args)
			if err != nil {
				return err
			}
			var taken []warnlist.List
			for _, path := range files {
				list, err := a.importList(path, class, force)
				if err != nil {
					a.remark(c, err.Error())
					continue
				}
				taken = append(taken, list)
			}
			if len(taken) == 0 {
				return fmt.Errorf("%w: no list was taken", errUsage)
			}
			return a.print(c, taken, func(w io.Writer) {
				fmt.Fprintf(w, "TAKEN\tCLASS\tENTRIES\tNAME\n")
				for _, l := range taken {
					fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", l.ID, l.Class, l.Entries, l.Name)
				}
			})
		},
	}
	c.Flags().StringVar(&class, "class", "", "hard, shared or context; what the file says, else shared, if it is not given")
	c.Flags().BoolVar(&force, "force", false, "take the place of lists that are there")
	return c
}

// listFiles are the files that arguments name: themselves, or those of folders.
func listFiles(args []string) (files []string, err error) {
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUsage, err)
		}
		if !info.IsDir() {
			files = append(files, arg)
			continue
		}
		found, err := warnlist.Files(arg)
		if err != nil {
			return nil, err
		}
		for _, name := range found {
			files = append(files, filepath.Join(arg, name))
		}
	}
	return files, nil
}

// importList copies a list into the repository.
func (a *app) importList(path, class string, force bool) (warnlist.List, error) {
	id := strings.TrimSuffix(filepath.Base(path), ".json")
	if absolute, err := filepath.Abs(path); err == nil && id == "list" {
		id = filepath.Base(filepath.Dir(absolute))
	}
	info, err := os.Stat(path)
	if err != nil {
		return warnlist.List{}, err
	}
	if info.Size() > warnlist.MaxFile {
		return warnlist.List{}, fmt.Errorf("%s is larger than %d bytes", path, warnlist.MaxFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return warnlist.List{}, err
	}
	s, err := warnlist.Parse(id, data)
	if err != nil {
		return warnlist.List{}, err
	}
	if class != "" {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(data, &members); err != nil {
			return warnlist.List{}, err
		}
		if s.Class, err = warnlist.ParseClass(class); err != nil {
			return warnlist.List{}, err
		}
		members["x_slnode_class"], _ = json.Marshal(class)
		if data, err = json.MarshalIndent(members, "", " "); err != nil {
			return warnlist.List{}, err
		}
	}
	folder := appraisal.ListsPath(a.dir)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return warnlist.List{}, err
	}
	to := filepath.Join(folder, id+".json")
	if _, err := os.Stat(to); err == nil && !force {
		return warnlist.List{}, fmt.Errorf("there is a list %s already; --force takes its place", id)
	}
	s.Entries = len(s.Values)
	return s.List, disk.WriteFile(to, data)
}
