// Command mutants measures what a package's own tests don't notice. It makes small faults, one at a time, and runs the
// tests: comparisons negated and moved by one, operands forced, guards never taken, statements removed, errors dropped,
// integers one more.
//
//	go run ./scripts/mutants [-n 200] [-seed 1] [-only REGEXP] [-least 85] ./internal/wire ...
//
// All mutants of a package are built into one test program, from changed copies of its files, and an environment
// variable wakes one of them; so a mutant costs one run of the tests that reach it, and the tree is never touched. Only
// constants that change where they are declared have builds of their own.
//
// A survivor is a promise that no test holds, or code that is not needed. Some are neither, since they change nothing.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"regexp"
	"slices"

	"golang.org/x/tools/go/packages"
)

type options struct {
	sample int
	seed   uint64
	only   *regexp.Regexp
}

func main() {
	sample := flag.Int("n", 0, "try only so many of a package, drawn at random")
	seed := flag.Uint64("seed", 1, "of the drawing")
	only := flag.String("only", "", "try only those whose line (file:line: kind: text) this regular expression finds")
	least := flag.Int("least", 0, "fail if fewer of 100 are killed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	code := 0
	for _, path := range flag.Args() {
		score, err := measure(ctx, path, options{*sample, *seed, regexp.MustCompile(*only)}, func(line string) { fmt.Println(line) })
		if err != nil {
			fmt.Fprintln(os.Stderr, "mutants:", err)
			os.Exit(2)
		}
		if score < *least {
			code = 1
		}
	}
	os.Exit(code)
}

// measure tries the mutants of one package, reports those that survive and a summary, and gives how many of 100 don't.
func measure(ctx context.Context, path string, o options, report func(line string)) (int, error) {
	loaded, err := packages.Load(&packages.Config{Context: ctx, Mode: packages.LoadSyntax}, path)
	if err != nil {
		return 0, err
	}
	if packages.PrintErrors(loaded) > 0 || len(loaded) != 1 {
		return 0, fmt.Errorf("%s is not one package", path)
	}
	s, err := newSchema(loaded[0])
	if err != nil {
		return 0, err
	}
	work, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(work)
	b := &bench{schema: s, work: work}
	program, err := b.buildAll(ctx)
	if err != nil {
		return 0, err
	}
	if err := b.survey(ctx, program); err != nil {
		return 0, err
	}
	chosen, fates := s.choose(o), map[string]int{}
	for _, m := range chosen {
		fate, err := b.try(ctx, program, m)
		if err != nil {
			return 0, err
		}
		if fates[fate]++; fate != killed {
			report(fate + " " + s.describe(m))
		}
	}
	dead := fates[killed] + fates[timedOut]
	score := 100 * dead / max(1, len(chosen))
	report(fmt.Sprintf("%s: %d of 100: %d of %d mutants are killed, %d of them by time; %d are not reached",
		path, score, dead, len(chosen), fates[timedOut], fates[notReached]))
	return score, nil
}

// choose draws the mutants to try, in the order of the source.
func (s *schema) choose(o options) []mutant {
	chosen := slices.DeleteFunc(slices.Clone(s.mutants), func(m mutant) bool { return !o.only.MatchString(s.describe(m)) })
	if o.sample <= 0 || o.sample >= len(chosen) {
		return chosen
	}
	drawn := rand.New(rand.NewPCG(o.seed, 0)).Perm(len(chosen))[:o.sample]
	slices.Sort(drawn)
	var sample []mutant
	for _, i := range drawn {
		sample = append(sample, chosen[i])
	}
	return sample
}
