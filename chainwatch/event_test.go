package chainwatch

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common/models"
	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/wire"
)

var fakeDecoder = decoder{consortium: fakeConsortium, genesisHash: fakeGenesis}

func TestAnEventIsWhatItsSenderSigned(t *testing.T) {
	w := newWriter()
	for _, kind := range []wire.Note{{Kind: wire.KindObject}, {Kind: wire.KindMember, Account: w.Address.String()}, {Kind: wire.KindCharter}} {
		given := w.at(t, kind, 70, 3)
		e, signed, err := fakeDecoder.signedEvent(given)
		must(t, err)
		if e.Round != 70 || e.Intra != 3 || e.TxID != given.Id || e.Sender != w.Address.String() || e.Note.Kind != kind.Kind || e.Asset != given.CreatedAssetIndex ||
			e.Time.Unix() != 1_767_322_800 || !bytes.Equal(e.Lease, given.Lease) || e.Directory == "" || !bytes.Equal(e.MetadataHash, given.AssetConfigTransaction.Params.MetadataHash) {
			t.Errorf("%s: %+v", kind.Kind, e)
		}
		if !bytes.Equal(signed.Sig[:], given.Signature.Sig) || crypto.TransactionIDString(signed.Txn) != given.Id {
			t.Errorf("%s: the signed transaction is another", kind.Kind)
		}
	}
	destruction := w.unsigned(t, wire.Note{Kind: wire.KindDestroy})
	destruction.AssetParams, destruction.ConfigAsset = types.AssetParams{}, 77
	if e, err := fakeDecoder.event(w.indexed(t, destruction, 71, 0, 0)); err != nil || e.Asset != 77 || e.Note.Kind != wire.KindDestroy {
		t.Errorf("%+v, %v", e, err)
	}
}

// outcome is what an indexer's word comes to.
func outcome(err error) string {
	var forged *forgedError
	switch {
	case err == nil:
		return "an event"
	case errors.Is(err, errForeign):
		return "foreign"
	case errors.As(err, &forged):
		return "forged"
	}
	return "malformed"
}

// What nobody signed is a lie of the indexer's, and is called so; what its sender signed and breaks the form is the
// sender's.
func TestALieIsCalledForged(t *testing.T) {
	w := newWriter()
	other := newWriter().Address.String()
	signed := func(change func(*types.Transaction)) func(*models.Transaction) {
		return func(m *models.Transaction) {
			u := w.unsigned(t, wire.Note{Kind: wire.KindObject})
			change(&u)
			*m = w.indexed(t, u, 70, 3, 99)
		}
	}
	note := func(text string) func(*models.Transaction) {
		return signed(func(u *types.Transaction) { u.Note = []byte(text) })
	}
	for what, c := range map[string]struct {
		change func(*models.Transaction)
		want   string
	}{
		"nothing": {func(*models.Transaction) {}, "an event"},
		"its printable texts alone": {func(m *models.Transaction) {
			p := &m.AssetConfigTransaction.Params
			p.UrlB64, p.NameB64, p.UnitNameB64 = []byte(p.Url), []byte(p.Name), []byte(p.UnitName)
			p.Url, p.Name, p.UnitName = "", "", ""
		}, "an event"},
		"another type":              {func(m *models.Transaction) { m.Type = "pay" }, "foreign"},
		"no round":                  {func(m *models.Transaction) { m.ConfirmedRound = 0 }, "foreign"},
		"another note":              {func(m *models.Transaction) { m.Note = []byte("theirs") }, "foreign"},
		"another consortium's note": {note(`serviceledger/1002:j{"v":1,"k":"object","s":1}`), "foreign"},
		"another charter": {func(m *models.Transaction) {
			*m = w.at(t, wire.Note{Kind: wire.KindCharter}, 70, 3)
			m.CreatedAssetIndex++
		}, "foreign"},
		"a note that breaks the form": {note(`serviceledger/1001:j{"v":1,"k":"object","s":-1}`), "malformed"},
		"an object with the charter's asset": {func(m *models.Transaction) {
			*m = w.at(t, wire.Note{Kind: wire.KindObject}, 70, 3)
			m.Note = bytes.Replace(m.Note, []byte("1001"), []byte("1002"), 1)
			m.CreatedAssetIndex = fakeConsortium
		}, "foreign"},
		"another network":                {signed(func(u *types.Transaction) { u.GenesisHash = types.Digest{8} }), "malformed"},
		"another asset":                  {signed(func(u *types.Transaction) { u.AssetParams.Total = 2 }), "malformed"},
		"another id":                     {func(m *models.Transaction) { m.Id = m.Id[1:] + m.Id[:1] }, "forged"},
		"another sender":                 {func(m *models.Transaction) { m.Sender = other }, "forged"},
		"a sender that is none":          {func(m *models.Transaction) { m.Sender = "X" }, "malformed"},
		"no sender":                      {func(m *models.Transaction) { m.Sender = "" }, "forged"},
		"another fee":                    {func(m *models.Transaction) { m.Fee++ }, "forged"},
		"another first round":            {func(m *models.Transaction) { m.FirstValid++ }, "forged"},
		"another last round":             {func(m *models.Transaction) { m.LastValid++ }, "forged"},
		"another network's name":         {func(m *models.Transaction) { m.GenesisId += "x" }, "forged"},
		"another network's hash":         {func(m *models.Transaction) { m.GenesisHash = bytes.Repeat([]byte{1}, 32) }, "forged"},
		"a network's hash that is short": {func(m *models.Transaction) { m.GenesisHash = m.GenesisHash[:31] }, "malformed"},
		"a group":                        {func(m *models.Transaction) { m.Group = bytes.Repeat([]byte{1}, 32) }, "forged"},
		"a group that is long":           {func(m *models.Transaction) { m.Group = make([]byte, 33) }, "malformed"},
		"another lease":                  {func(m *models.Transaction) { m.Lease = bytes.Repeat([]byte{1}, 32) }, "forged"},
		"no lease":                       {func(m *models.Transaction) { m.Lease = nil }, "forged"},
		"a rekeying":                     {func(m *models.Transaction) { m.RekeyTo = other }, "forged"},
		"a reconfiguration":              {func(m *models.Transaction) { m.AssetConfigTransaction.AssetId = 7 }, "forged"},
		"another total":                  {func(m *models.Transaction) { m.AssetConfigTransaction.Params.Total++ }, "forged"},
		"decimals":                       {func(m *models.Transaction) { m.AssetConfigTransaction.Params.Decimals++ }, "forged"},
		"frozen":                         {func(m *models.Transaction) { m.AssetConfigTransaction.Params.DefaultFrozen = true }, "forged"},
		"another unit":                   {func(m *models.Transaction) { m.AssetConfigTransaction.Params.UnitName += "x" }, "forged"},
		"another name":                   {func(m *models.Transaction) { m.AssetConfigTransaction.Params.Name += "x" }, "forged"},
		"another URL":                    {func(m *models.Transaction) { m.AssetConfigTransaction.Params.Url += "x" }, "forged"},
		"another URL in base64":          {func(m *models.Transaction) { m.AssetConfigTransaction.Params.UrlB64 = []byte("ipfs://x") }, "forged"},
		"another hash":                   {func(m *models.Transaction) { m.AssetConfigTransaction.Params.MetadataHash = make([]byte, 32) }, "forged"},
		"another manager":                {func(m *models.Transaction) { m.AssetConfigTransaction.Params.Manager = other }, "forged"},
		"a manager that is none":         {func(m *models.Transaction) { m.AssetConfigTransaction.Params.Manager = "X" }, "malformed"},
		"a reserve":                      {func(m *models.Transaction) { m.AssetConfigTransaction.Params.Reserve = other }, "forged"},
		"a freezer":                      {func(m *models.Transaction) { m.AssetConfigTransaction.Params.Freeze = other }, "forged"},
		"a clawback":                     {func(m *models.Transaction) { m.AssetConfigTransaction.Params.Clawback = other }, "forged"},
		"another signature":              {func(m *models.Transaction) { m.Signature.Sig[9] ^= 1 }, "forged"},
		"a short signature":              {func(m *models.Transaction) { m.Signature.Sig = m.Signature.Sig[:63] }, "forged"},
		"a long signature":               {func(m *models.Transaction) { m.Signature.Sig = append(m.Signature.Sig, 0) }, "forged"},
		"no signature":                   {func(m *models.Transaction) { m.Signature.Sig = nil }, "malformed"},
		"another key than the sender's":  {func(m *models.Transaction) { m.AuthAddr = other }, "malformed"},
		"the sender's own key, named":    {func(m *models.Transaction) { m.AuthAddr = m.Sender }, "an event"},
		"a key that is none":             {func(m *models.Transaction) { m.AuthAddr = "X" }, "malformed"},
	} {
		given := w.at(t, wire.Note{Kind: wire.KindObject}, 70, 3)
		given.Signature.Sig = slices.Clone(given.Signature.Sig)
		c.change(&given)
		if e, err := fakeDecoder.event(given); outcome(err) != c.want || err != nil && (e.TxID != "" || err.Error() == "") {
			t.Errorf("%s: it is %s, want %s: %v", what, outcome(err), c.want, err)
		}
	}
}

func TestALieAboutAMultisignatureIsCalledForged(t *testing.T) {
	keys := []crypto.Account{crypto.GenerateAccount(), crypto.GenerateAccount(), crypto.GenerateAccount()}
	account, err := crypto.MultisigAccountWithParams(1, 2, []types.Address{keys[0].Address, keys[1].Address, keys[2].Address})
	must(t, err)
	sender, err := account.Address()
	must(t, err)
	u := newWriter().unsigned(t, wire.Note{Kind: wire.KindObject})
	u.Sender, u.AssetParams.Manager = sender, sender
	var parts [][]byte
	for _, key := range keys[:2] {
		_, part, err := crypto.SignMultisigTransaction(key.PrivateKey, account, u)
		must(t, err)
		parts = append(parts, part)
	}
	_, raw, err := crypto.MergeMultisigTransactions(parts...)
	must(t, err)
	var signed types.SignedTxn
	must(t, msgpack.Decode(raw, &signed))
	type part = models.TransactionSignatureMultisigSubsignature
	for what, c := range map[string]struct {
		change func(*models.TransactionSignatureMultisig)
		want   string
	}{
		"nothing":           {func(*models.TransactionSignatureMultisig) {}, "an event"},
		"another signature": {func(m *models.TransactionSignatureMultisig) { m.Subsignature[0].Signature[7] ^= 1 }, "forged"},
		"a short signature": {func(m *models.TransactionSignatureMultisig) {
			m.Subsignature[0].Signature = m.Subsignature[0].Signature[:63]
		}, "forged"},
		"one signature less": {func(m *models.TransactionSignatureMultisig) { m.Subsignature[0].Signature = nil }, "forged"},
		"another key":        {func(m *models.TransactionSignatureMultisig) { m.Subsignature[2].PublicKey = keys[0].PublicKey }, "forged"},
		"a short key": {func(m *models.TransactionSignatureMultisig) {
			m.Subsignature[2].PublicKey = m.Subsignature[2].PublicKey[:31]
		}, "forged"},
		"a lower threshold":      {func(m *models.TransactionSignatureMultisig) { m.Threshold = 1 }, "forged"},
		"a threshold of 2 again": {func(m *models.TransactionSignatureMultisig) { m.Threshold = 256 + 2 }, "forged"},
		"a version of 1 again":   {func(m *models.TransactionSignatureMultisig) { m.Version = 256 + 1 }, "forged"},
		"another version":        {func(m *models.TransactionSignatureMultisig) { m.Version = 2 }, "forged"},
		"256 keys":               {func(m *models.TransactionSignatureMultisig) { m.Subsignature = make([]part, 256) }, "forged"},
		"a single one beside":    {nil, "malformed"},
	} {
		m := models.TransactionSignatureMultisig{Version: 1, Threshold: 2}
		for _, s := range signed.Msig.Subsigs {
			one := part{PublicKey: bytes.Clone(s.Key)}
			if s.Sig != (types.Signature{}) {
				one.Signature = bytes.Clone(s.Sig[:])
			}
			m.Subsignature = append(m.Subsignature, one)
		}
		signature := models.TransactionSignature{Multisig: m}
		if c.change == nil {
			signature.Sig = bytes.Repeat([]byte{1}, 64)
		} else {
			c.change(&signature.Multisig)
		}
		if _, err := fakeDecoder.event(indexed(t, u, 70, 3, 99, signature)); outcome(err) != c.want {
			t.Errorf("%s: it is %s, want %s: %v", what, outcome(err), c.want, err)
		}
	}
	for n, bounds := range map[int]bool{255: false, 256: true} {
		_, err := signature(models.Transaction{Signature: models.TransactionSignature{Multisig: models.TransactionSignatureMultisig{
			Subsignature: make([]part, n), Version: uint64(n), Threshold: uint64(n),
		}}})
		if (err != nil) != bounds {
			t.Errorf("%d parts: %v", n, err)
		}
	}
}

// An error shows what the indexer says, and no more than a line of it.
func TestWhatAnIndexerClaimsIsShownShortened(t *testing.T) {
	given := newWriter().object(t, 70, 3)
	given.Id = strings.Repeat("x\n", 1000)
	if _, err := fakeDecoder.event(given); len(err.Error()) > 300 || strings.Contains(err.Error(), "\n") {
		t.Errorf("%d bytes: %v", len(err.Error()), err)
	}
	if got := bounded(base64.StdEncoding.EncodeToString(make([]byte, 99))); len(got) != 60 || bounded("x") != "x" {
		t.Errorf("%q", got)
	}
}
