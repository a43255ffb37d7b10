package config

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/quality"
)

// Decay says how the scores of some indicators fall, as a [[decay]] of config.toml has it. Of several that fit the
// first counts.
type Decay struct {
	Kinds     []string `toml:"kinds,omitempty"`   // of values, as in lists; empty: all
	Labels    []string `toml:"labels,omitempty"`  // of which an indicator has one
	Members   []string `toml:"members,omitempty"` // that published it
	Lifetime  Duration `toml:"lifetime"`          // after which the score is 0; 0: it doesn't fall
	Speed     float64  `toml:"speed"`
	Threshold int      `toml:"threshold"`
}

const (
	maxDecays   = 100
	longestLife = 100 * 366 * 24 * time.Hour
)

// DecayRules are the rules that sections stand for.
func DecayRules(sections []Decay) (quality.Rules, error) {
	if len(sections) > maxDecays {
		return nil, fmt.Errorf("decay: there are more than %d", maxDecays)
	}
	rules := make(quality.Rules, 0, len(sections))
	for i, d := range sections {
		rule, err := d.rule()
		if err != nil {
			return nil, fmt.Errorf("decay, section %d: %w", i+1, err)
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

func (d Decay) rule() (quality.Rule, error) {
	rule := quality.Rule{Labels: slices.Clone(d.Labels), Members: slices.Clone(d.Members)}
	for _, word := range d.Kinds {
		kinds, err := observable.ParseKinds(word)
		if err != nil {
			return rule, fmt.Errorf("kinds: %w", err)
		}
		rule.Kinds = append(rule.Kinds, kinds...)
	}
	rule.Model = quality.Model{Lifetime: d.Lifetime.Duration, Speed: d.Speed, Threshold: d.Threshold}
	if d.Speed == 0 {
		rule.Model.Speed = quality.Network.Speed
	}
	if d.Threshold == 0 {
		rule.Model.Threshold = quality.Network.Threshold
	}
	switch m := rule.Model; {
	case m.Lifetime != 0 && (m.Lifetime < time.Minute || m.Lifetime > longestLife):
		return rule, fmt.Errorf("lifetime: %v is not between %v and %v; 0s is for what never falls", m.Lifetime, time.Minute, longestLife)
	case !(m.Speed >= 0.1 && m.Speed <= 10):
		return rule, fmt.Errorf("speed: %v is not between 0.1 and 10", m.Speed)
	case m.Threshold < 1 || m.Threshold > 100:
		return rule, fmt.Errorf("threshold: %d is not between 1 and 100", m.Threshold)
	}
	return rule, nil
}

func checkDecays(sections []Decay) error {
	_, err := DecayRules(sections)
	return err
}

// encodeDecays writes them as the config file has them.
func encodeDecays(sections []Decay) ([]byte, error) {
	var out bytes.Buffer
	for _, d := range sections {
		encoder := toml.NewEncoder(&out)
		encoder.Indent = ""
		out.WriteString("\n")
		if err := encoder.Encode(map[string][]Decay{"decay": {d}}); err != nil {
			return nil, fmt.Errorf("writing how scores fall: %w", err)
		}
	}
	return out.Bytes(), nil
}
