package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/taxii"
)

func (a *app) exportCommand() *cobra.Command {
	var from target
	var q taxii.ExportQuery
	var warninglists string
	c := &cobra.Command{
		Use:   "export --format FORMAT",
		Short: "Print what indicators say as a list for firewalls, resolvers and sensors",
		Long: `Export prints the addresses, domains, URLs and hashes that the indicators of a collection name: those in force now,
not revoked, in their latest version, whose pattern is nothing but a choice of values. How many indicators are not, or
not wholly, in the list is said on standard error. The formats:

  plain      one value a line
  panos      the same for the external dynamic lists of Palo Alto Networks: URLs without http://
  csv        type, value, indicator, confidence, valid_until
  hosts      a hosts file that sends domains to 0.0.0.0
  rpz        a DNS response policy zone (BIND, Unbound, Knot, PowerDNS)
  suricata   rules that alert on addresses, DNS queries and http URLs
  zeek       a file of the Intelligence Framework
  stix       a bundle of the indicators themselves, whatever their patterns

With --score, addresses, domains and URLs leave the list as time passes: an indicator without a confidence is there for 47
days with --score 30, or as the [[decay]] sections of the configuration say. Hashes stay.

A domain in a list is that name alone, and the names below it are others. With --subdomains a rpz list has them, too.

A firewall gets the same from the TAXII server: GET /<root>/collections/<id>/export?format=plain&kind=ip`,
		Example: `  slnode export --format plain --kind ip --min-confidence 70
  slnode export --format rpz > db.rpz
  slnode export --format suricata --root acme --collection default`,
		Args: cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if q.Format == "" {
				return fmt.Errorf("%w: export needs a --format", errUsage)
			}
			if q.SetWarningLists(warninglists) != nil {
				return fmt.Errorf("%w: --warninglists is keep or drop", errUsage)
			}
			from.widen()
			return a.withCollection(c, &from, func(protocol *taxii.Client) error {
				left, err := protocol.Export(c.Context(), from.root, from.collection, q, c.OutOrStdout())
				if err != nil {
					return err
				}
				if left.All > 0 {
					a.remark(c, fmt.Sprintf("%d indicators are not, or not wholly, in the list", left.All))
				}
				if left.Reliability > 0 {
					a.remark(c, fmt.Sprintf("%d of them are not for how reliable their publishers are held to be (\"slnode member card\")", left.Reliability))
				}
				return nil
			})
		},
	}
	from.flags(c, everything)
	c.Flags().StringVar(&q.Format, "format", "", "plain, panos, csv, hosts, rpz, suricata, zeek or stix")
	c.Flags().StringSliceVar(&q.Kinds, "kind", nil, "only these `kinds` of values: ip, ipv4, ipv6, domain, url, hash, md5, sha1, sha256, sha512")
	c.Flags().IntVar(&q.MinConfidence, "min-confidence", 0, "only indicators whose confidence is at least `n` (1 to 100)")
	c.Flags().IntVar(&q.Score, "score", 0, "only what has a score of at least `n` (1 to 100) by now: it begins as the confidence, else 80, and falls with time")
	c.Flags().StringVar(&warninglists, "warninglists", "keep", "keep or drop what many use, such as public resolvers and cloud services (see \"slnode warninglists\")")
	c.Flags().BoolVar(&q.Subdomains, "subdomains", false, "with every domain the names below it (rpz)")
	return c
}
