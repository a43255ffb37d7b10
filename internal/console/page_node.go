package console

import (
	"context"
	"time"
)

// Node is how the node is. What it tells may be some seconds old: At says so.
type Node interface {
	State(ctx context.Context) (NodeState, error)
	// Spent is what the last days took, the oldest first.
	Spent(ctx context.Context, days int) ([]SpentDay, error)
}

// SpentDay is what one day took, in microalgo.
type SpentDay struct {
	Day                 time.Time
	Fees, Locked, Freed uint64
	Objects             uint64 // that went onto the chain
}

// NodeState is how a node is. Each part that is not known says why.
type NodeState struct {
	At                    time.Time
	Started               time.Time
	Version               string
	Member                bool
	Excluded              string // why it is no member
	Accepted              int    // objects on their way
	Stored, Signed        int
	Waits                 []Condition // what keeps objects from being published
	Money                 Money
	Round, Tip            uint64
	LagSeconds            float64
	CaughtUp              bool
	Chain                 Condition
	Sources               []Source
	Objects               int64
	Waiting               int // for their blocks
	Undecided             int
	Forged, Malformed     int
	DiskFree              uint64
	Disk, Clock           Condition
	ClockKnown            bool
	ClockAhead            float64 // seconds
	Certificate           Condition
	CertificateUntil      time.Time
	HTTPS                 bool
	Known, Connected      int // other members
	Peers                 []Peer
	Webhooks              []Webhook
	WebhooksWrong         string
	Backup                time.Time
	BackupBytes           int64
	BackupUnknown         string
	Missing               []string
	TAXII                 string // URL
	Gateway, Metrics      string // host:port
	Trouble               int    // how much is wrong
	Omitted, LateUnfolded int
}

// Condition is what something waits for; nothing if Problem is empty.
type Condition struct {
	Problem, Detail string
	Since           time.Time
}

// Source is what the chain is read from.
type Source struct {
	Name  string
	Round uint64
	Last  time.Time
	Condition
}

// Peer is another member's node.
type Peer struct {
	Member    string
	Connected bool
	Inbound   bool
	Problem   string
}

// Webhook is one of the configuration.
type Webhook struct {
	Name, Host string
	Sent       time.Time
	Condition
}

// Money is what the account on the chain has, in microalgo.
type Money struct {
	Account                            string
	Free, Locked, Reserved, Releasable uint64
	Unknown                            string // why it is not known
	Each                               uint64 // what an object of its own costs, with what it locks
	Fee, Lock                          uint64 // of that
	Objects                            uint64 // that can be paid for
	Lasts                              string // for how long it lasts, in words; "" if that is not known
	Low                                bool   // … that is short
	Release                            string // after what time NFTs are destroyed; "": never
}

type nodeModel struct{ NodeState }

// OnTheWay is how much is not on the chain yet.
func (m nodeModel) OnTheWay() int64 { return int64(m.Accepted + m.Stored + m.Signed) }

func (c *Console) getNode(v *visit) error {
	state, err := c.Rooms.Node.State(v.r.Context())
	if err != nil {
		return err
	}
	return v.render("node", nodeModel{state})
}

// spentDays is how far back the money page looks.
const spentDays = 30

type moneyModel struct {
	NodeState
	Chart *Figure
	Wrong string // why what was spent is not known
}

func (c *Console) getMoney(v *visit) error {
	state, err := c.Rooms.Node.State(v.r.Context())
	if err != nil {
		return err
	}
	model := moneyModel{NodeState: state}
	spent, err := c.Rooms.Node.Spent(v.r.Context(), spentDays)
	if err != nil {
		model.Wrong = v.lacks("what was spent", err)
	} else if len(spent) > 0 {
		chart := spentChart(spent)
		model.Chart = &chart
	}
	return v.render("money", model)
}

func spentChart(spent []SpentDay) Figure {
	days := make([]time.Time, len(spent))
	fees, locked := make([]float64, len(spent)), make([]float64, len(spent))
	for i, day := range spent {
		days[i], fees[i], locked[i] = day.Day, float64(day.Fees)/1e6, float64(day.Locked)/1e6
	}
	return barChart("Spent and locked", "ALGO", days, []Series{{Name: "locked", Values: locked}, {Name: "fees", Values: fees}})
}
