// Package testnet tests the whole: several organisations' nodes as separate processes, made with the real commands, on
// a development chain or on the Algorand network that the SLNODE_TEST_* variables name. Its tests are the scenarios;
// the development chain is in devchain, what brings networks up in cluster, the network for people in cmd/testnet.
package testnet
