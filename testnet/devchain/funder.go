package devchain

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/algod"
	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/mnemonic"
	"github.com/algorand/go-algorand-sdk/v2/transaction"
	"github.com/algorand/go-algorand-sdk/v2/types"
)

// fundingRounds is how long a payment of Fund is valid and waited for.
const fundingRounds = 100

// Fund pays an account from the chain's funder, waits until the payment is confirmed, and returns its transaction id.
func (c *Chain) Fund(ctx context.Context, to string, microalgos uint64) (string, error) {
	return Fund(ctx, c.AlgodURL(), c.Token(), c.Funder(), to, microalgos)
}

// Fund pays an account from the one whose 25 words are given, waits until the payment is confirmed or ctx ends, and
// returns its transaction id. It works with any algod. The fee is the least that the network takes.
func Fund(ctx context.Context, algodURL, token, words, to string, microalgos uint64) (string, error) {
	key, err := mnemonic.ToPrivateKey(strings.Join(strings.Fields(words), " "))
	if err != nil {
		return "", errors.New("the funder's mnemonic is not the 25 words of an account") // the cause may quote a word
	}
	funder, err := crypto.AccountFromPrivateKey(ed25519.PrivateKey(key))
	if err != nil {
		return "", fmt.Errorf("reading the funder's key: %w", err)
	}
	client, err := algod.MakeClient(algodURL, token)
	if err != nil {
		return "", fmt.Errorf("algod at %s: %w", algodURL, err)
	}
	params, err := client.SuggestedParams().Do(ctx)
	if err != nil {
		return "", fmt.Errorf("asking algod for parameters: %w", err)
	}
	params.FlatFee, params.Fee = true, types.MicroAlgos(params.MinFee)
	params.LastRoundValid = params.FirstRoundValid + fundingRounds
	note := []byte("fund " + rand.Text()) // or the same payment twice in a round would be one transaction
	tx, err := transaction.MakePaymentTxn(funder.Address.String(), to, microalgos, note, "", params)
	if err != nil {
		return "", fmt.Errorf("making the payment to %s: %w", to, err)
	}
	txid, signed, err := crypto.SignTransaction(key, tx)
	if err != nil {
		return "", fmt.Errorf("signing the payment to %s: %w", to, err)
	}
	if _, err := client.SendRawTransaction(signed).Do(ctx); err != nil {
		return "", fmt.Errorf("sending the payment to %s: %w", to, err)
	}
	if _, err := transaction.WaitForConfirmation(client, txid, fundingRounds, ctx); err != nil {
		return "", fmt.Errorf("waiting for transaction %s: %w", txid, err)
	}
	return txid, nil
}
