// Package testnet tests the whole: several organisations' nodes as separate processes, made with the real commands,
// on a development chain or on the Algorand network that the SLNODE_TEST_* variables name. Its tests are the
// scenarios; the development chain is in devchain, the network for people in scripts/testnet.sh.
package testnet
