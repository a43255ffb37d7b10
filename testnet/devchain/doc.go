// Package devchain is an Algorand network in one process, for development and tests: an in-memory ledger with
// an algod REST API and an indexer REST API in front of it.
//
// Transaction ids, group ids, signatures, block hashes, transaction commitments and proofs are genuine. The rules of
// consensus version 42 are enforced for payments, asset transactions, rekeying, multisignatures, leases, atomic groups,
// pooled fees and minimum balances. The indexer half is the released indexer's own REST layer over this ledger.
//
// # What it is not
//
// It has no applications, logic signatures, Falcon signatures, key registrations, rewards, proposers or state
// proofs: transactions that need one are refused with a message that says so. One process decides everything, so
// it proves nothing to anybody. It is for loopback and must never be offered for production.
//
// # Time
//
// With RoundTime 0 each accepted group closes a round by itself before the POST is answered, and nothing else
// moves the chain, as on a node in DevMode. With a RoundTime a round closes every so often and takes what
// is in the pool, as on a real network.
//
// # Durability
//
// With a directory every block is handed to the operating system before anybody can see it: it survives the death
// of the process, SIGKILL included. It is flushed to the disk only by Close, so a power failure may lose the last
// blocks; what is left is a whole prefix of the chain. Transactions waiting in the pool are not kept.
package devchain
