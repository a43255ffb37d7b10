package devchain

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/algorand/go-algorand-sdk/v2/types"
	"github.com/algorand/go-codec/codec"
)

// addressFields are the fields of transactions, asset parameters and block headers that hold an address.
var addressFields = map[string]bool{
	"snd": true, "rcv": true, "close": true, "asnd": true, "arcv": true, "aclose": true, "fadd": true, "rekey": true,
	"sgnr": true, "m": true, "r": true, "f": true, "c": true, "fees": true, "rwd": true, "prp": true,
}

// toJSON writes what algod has in msgpack as algod writes it in JSON. The SDK's JSON encoder does not: it gives
// addresses in base64 and maps keys that are no strings.
func toJSON(encoded []byte) ([]byte, error) {
	handle := &codec.MsgpackHandle{WriteExt: true} // which tells text from bytes
	handle.RawToString = true
	var v any
	if err := codec.NewDecoderBytes(encoded, handle).Decode(&v); err != nil {
		return nil, fmt.Errorf("reading msgpack for JSON: %w", err)
	}
	return json.Marshal(jsonValue("", v))
}

func jsonValue(field string, v any) any {
	switch v := v.(type) {
	case map[any]any:
		object := make(map[string]any, len(v))
		for key, value := range v {
			name := fmt.Sprint(key)
			object[name] = jsonValue(name, value)
		}
		return object
	case []any:
		list := make([]any, len(v))
		for i, value := range v {
			list[i] = jsonValue(field, value)
		}
		return list
	case []byte:
		switch {
		case len(v) == len(types.Address{}) && addressFields[field]:
			return types.Address(v).String()
		case len(v) == len(types.Digest{}) && field == "prev":
			return "blk-" + formatDigest(types.Digest(v))
		}
		return base64.StdEncoding.EncodeToString(v)
	default:
		return v
	}
}
