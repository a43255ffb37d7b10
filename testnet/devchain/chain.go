package devchain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/types"
	"github.com/gofrs/flock"
)

// DefaultToken is algod's API token unless Config names another: the one of AlgoKit's local network.
const DefaultToken = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// anyPort lets the system choose.
const anyPort = "127.0.0.1:0"

// Config says how a chain is started. The zero value is a chain in memory that closes a round with every group.
type Config struct {
	// Dir keeps the chain: it is made there, or continued if it is there already. Empty keeps it in memory only.
	Dir string
	// AlgodAddr, IndexerAddr and ControlAddr are where to listen, on loopback only. Empty stands for 127.0.0.1 and a
	// free port.
	AlgodAddr, IndexerAddr, ControlAddr string
	// Token is what algod wants in X-Algo-API-Token. Empty stands for DefaultToken.
	Token string
	// RoundTime is the time from round to round. 0 closes a round with every accepted group and at no other time.
	// A chain that exists keeps the way it was made in: DevMode or not is part of its genesis.
	RoundTime time.Duration
	// Logger gets what is worth telling. Nil discards it.
	Logger *slog.Logger
}

// Chain is a running development chain.
type Chain struct {
	config   Config
	identity identity
	ledger   *ledger
	follower *follower
	board    *faultBoard

	algod, indexer, control *endpoint

	faultsMu sync.Mutex // holds SetFaults calls apart
	stop     context.CancelFunc
	ticking  sync.WaitGroup
	lock     *flock.Flock
	closing  func() error // Close, once
}

// Start brings up a chain and its three servers. It is ready when Start returns. The context bounds only the start:
// Close ends the chain.
func Start(ctx context.Context, cfg Config) (*Chain, error) {
	c := &Chain{config: withDefaults(cfg), follower: &follower{}, board: newFaultBoard()}
	c.closing = sync.OnceValue(c.close)
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the development chain: %w", err), c.Close())
	}
	return c, nil
}

func withDefaults(cfg Config) Config {
	if cfg.Token == "" {
		cfg.Token = DefaultToken
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	for _, address := range []*string{&cfg.AlgodAddr, &cfg.IndexerAddr, &cfg.ControlAddr} {
		if *address == "" {
			*address = anyPort
		}
	}
	return cfg
}

func (c *Chain) start(ctx context.Context) error {
	if err := c.openLedger(ctx); err != nil {
		return err
	}
	if err := c.serve(); err != nil {
		return err
	}
	ticks, stop := context.WithCancel(context.Background())
	c.stop = stop
	if c.config.RoundTime > 0 {
		c.ticking.Go(func() { c.tick(ticks) })
	}
	return ctx.Err()
}

// openLedger makes the chain or reads it back.
func (c *Chain) openLedger(ctx context.Context) (err error) {
	if c.config.Dir == "" {
		c.identity, err = newIdentity(c.config.RoundTime == 0)
	} else if err = c.takeDir(); err == nil {
		c.identity, err = loadIdentity(c.config.Dir, c.config.RoundTime == 0)
	}
	if err != nil {
		return err
	}
	if c.identity.genesis.DevMode != (c.config.RoundTime == 0) {
		return fmt.Errorf("the chain in %s was made with DevMode %t: a round time of %s does not go with it",
			c.config.Dir, c.identity.genesis.DevMode, c.config.RoundTime)
	}
	rules, err := newRules(c.identity.genesis)
	if err != nil {
		return err
	}
	if c.ledger, err = newLedger(c.identity.genesis, rules, c.board); err != nil {
		return err
	}
	if c.config.Dir != "" {
		c.ledger.log, err = openBlockLog(filepath.Join(c.config.Dir, blocksFile), c.config.Logger, func(raw []byte) error {
			return errors.Join(ctx.Err(), c.ledger.replay(raw))
		})
		if err != nil {
			return err
		}
	}
	tip, s := c.ledger.tip()
	c.follower.observe(snapshot{tip.round(), s})
	c.ledger.onClose = c.follower.observe
	return nil
}

// takeDir makes the directory and keeps other processes out of it.
func (c *Chain) takeDir() error {
	if err := os.MkdirAll(c.config.Dir, 0o700); err != nil {
		return err
	}
	lock := flock.New(filepath.Join(c.config.Dir, lockFile))
	taken, err := lock.TryLock()
	if err != nil {
		return fmt.Errorf("locking %s: %w", c.config.Dir, err)
	}
	if !taken {
		return fmt.Errorf("another development chain runs in %s", c.config.Dir)
	}
	c.lock = lock
	return nil
}

// serve brings up the three servers.
func (c *Chain) serve() (err error) {
	algodAPI := newAlgodAPI(&algodServer{
		ledger: c.ledger, token: c.config.Token, feePerByte: c.board.feePerByte, keeps: c.board.algodKeeps, patience: waitForBlock,
	})
	hinder := func(which func(*Faults) *EndpointFaults) func() hindrance {
		return func() hindrance { return c.board.hinder(which) }
	}
	if c.algod, err = newEndpoint(c.config.AlgodAddr, gate(hinder(algodFaults), algodAPI)); err != nil {
		return fmt.Errorf("algod: %w", err)
	}
	db := newIndexerDB(c.ledger, c.follower, c.board.hides)
	indexerAPI := c.indexerAPI(
		sync.OnceValues(func() (http.Handler, error) { return newIndexerAPI(db, false) }),
		sync.OnceValues(func() (http.Handler, error) { return newIndexerAPI(db, true) }),
	)
	c.indexer, err = newEndpoint(c.config.IndexerAddr, gate(hinder(indexerFaults), forge(c.forgeries, indexerAPI)))
	if err != nil {
		return fmt.Errorf("indexer: %w", err)
	}
	if c.control, err = newEndpoint(c.config.ControlAddr, newControlAPI(c)); err != nil {
		return fmt.Errorf("control: %w", err)
	}
	return nil
}

func (c *Chain) forgeries() []Forgery { return c.board.get().Forge }

// indexerAPI answers with the indexer's REST layer that allows everything, or with the one that is as shipped.
func (c *Chain) indexerAPI(open, released func() (http.Handler, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		api := open
		if c.board.get().IndexerReleased {
			api = released
		}
		h, err := api()
		if err != nil {
			writeJSON(w, http.StatusInternalServerError, map[string]string{"message": err.Error()})
			return
		}
		h.ServeHTTP(w, r)
	}
}

func (c *Chain) tick(ctx context.Context) {
	ticker := time.NewTicker(c.config.RoundTime)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := c.ledger.tick(); err != nil {
				c.config.Logger.Error("a round could not be closed", "error", err)
			}
		}
	}
}

// Close ends the chain and waits until nothing of it runs any more. It flushes the blocks to the disk. It may be
// called more than once.
func (c *Chain) Close() error { return c.closing() }

func (c *Chain) close() error {
	var errs []error
	if c.stop != nil {
		c.stop()
	}
	c.ticking.Wait()
	for _, e := range []*endpoint{c.control, c.algod, c.indexer} {
		if e != nil {
			errs = append(errs, e.close())
		}
	}
	if c.ledger != nil && c.ledger.log != nil {
		errs = append(errs, c.ledger.log.Close())
	}
	if c.lock != nil {
		errs = append(errs, c.lock.Unlock())
	}
	return errors.Join(errs...)
}

// AlgodURL is algod's address, http://host:port.
func (c *Chain) AlgodURL() string { return c.algod.url() }

// IndexerURL is the indexer's address. It wants no token.
func (c *Chain) IndexerURL() string { return c.indexer.url() }

// ControlURL is where other processes switch faults.
func (c *Chain) ControlURL() string { return c.control.url() }

// Token is algod's API token.
func (c *Chain) Token() string { return c.config.Token }

// Funder is the mnemonic of the account that owns ten billion ALGO at the start.
func (c *Chain) Funder() string { return c.identity.funder }

// FunderFile is where the mnemonic is kept, "" for a chain in memory.
func (c *Chain) FunderFile() string {
	if c.config.Dir == "" {
		return ""
	}
	return filepath.Join(c.config.Dir, funderFile)
}

// GenesisID names the network.
func (c *Chain) GenesisID() string { return c.ledger.rules.genesisID }

// GenesisHash identifies the network.
func (c *Chain) GenesisHash() types.Digest { return c.ledger.rules.genesisHash }

// Round is the last closed round.
func (c *Chain) Round() uint64 {
	tip, _ := c.ledger.tip()
	return uint64(tip.round())
}

// IndexerRound is the round that the indexer has reached.
func (c *Chain) IndexerRound() uint64 { return uint64(c.follower.round()) }

// Advance closes rounds at once, the first of them with what is in the pool. It is how a validity window passes
// without waiting for it.
func (c *Chain) Advance(rounds int) error {
	for range rounds {
		if err := c.ledger.tick(); err != nil {
			return err
		}
	}
	return nil
}

// Faults are the faults in force; those that are counted show what is left of them.
func (c *Chain) Faults() Faults { return c.board.get() }

// SetFaults replaces the faults in force. The zero value makes the chain healthy.
func (c *Chain) SetFaults(f Faults) error {
	if err := f.validate(); err != nil {
		return err
	}
	c.faultsMu.Lock()
	defer c.faultsMu.Unlock()
	c.board.set(f)
	c.follower.trail(f.IndexerLag, f.IndexerFrozen)
	return errors.Join(setDown(c.algod, f.Algod.Down), setDown(c.indexer, f.Indexer.Down))
}

func setDown(e *endpoint, down bool) error {
	if down {
		return e.down(0)
	}
	return e.up()
}
