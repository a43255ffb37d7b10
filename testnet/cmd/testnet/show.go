package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/serviceledger/slnode/taxii"
	"github.com/serviceledger/slnode/testnet/cluster"
)

// sample is the bundle that is published.
const sample = "internal/stix/testdata/sample-bundle.json"

// pretty is JSON on lines of its own, indented.
func pretty(text []byte) string {
	const margin = "    "
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(text), margin, "  "); err != nil {
		return margin + string(text) // as it is
	}
	return margin + b.String()
}

// demonstrate posts a bundle at the first organisation and reads it at every other.
func (t *testnet) demonstrate(ctx context.Context) error {
	founder, root := t.node(1), t.organisations[0]
	t.step("%s publishes a bundle: an identity, a TLP marking, an indicator", root.Org)
	bundle, err := os.ReadFile(sample)
	if err != nil {
		return err
	}
	indicator, err := firstOf(bundle, "indicator")
	if err != nil {
		return fmt.Errorf("reading %s: %w", sample, err)
	}
	begun := time.Now()
	place, err := t.publish(ctx, bundle, indicator, begun)
	if err != nil {
		return err
	}
	for n := 2; n <= len(t.organisations); n++ {
		if err := t.awaitObject(ctx, n, indicator, begun); err != nil {
			return err
		}
	}
	if err := t.showNFT(ctx, place); err != nil {
		return err
	}
	if err := t.showDirectory(ctx, founder, place.CID); err != nil || len(t.organisations) == 1 {
		return err
	}
	return t.showReader(ctx, indicator)
}

// firstOf is the id of the first object of a type in a bundle.
func firstOf(bundle []byte, kind string) (string, error) {
	var b struct {
		Objects []struct{ Type, ID string } `json:"objects"`
	}
	if err := json.Unmarshal(bundle, &b); err != nil {
		return "", err
	}
	for _, object := range b.Objects {
		if object.Type == kind {
			return object.ID, nil
		}
	}
	return "", fmt.Errorf("there is no %s", kind)
}

// publish posts the bundle, shows the answer once it is complete, and returns where one of its objects is.
func (t *testnet) publish(ctx context.Context, bundle []byte, id string, begun time.Time) (place taxii.StatusDetailResource, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	o := t.organisations[0]
	failed := func(format string, args ...any) error {
		return &cluster.Failure{What: fmt.Sprintf(format, args...), Log: t.log(o.Org)}
	}
	answer, err := t.ask(ctx, 1, http.MethodPost, "/"+o.Org+"/collections/"+o.Collection+"/objects/", bundle)
	if login := (*cluster.Failure)(nil); errors.As(err, &login) {
		return place, login
	}
	if err != nil {
		return place, failed("posting failed: %v", err)
	}
	var status taxii.StatusResource
	err = cluster.Until(ctx, func(ctx context.Context) (bool, error) {
		if status.ID != "" { // the answer to the post tells it
			if answer, err = t.ask(ctx, 1, http.MethodGet, "/"+o.Org+"/status/"+status.ID+"/", nil); err != nil {
				return false, err
			}
		}
		err := json.Unmarshal(answer, &status)
		return status.Status == "complete", err
	})
	if err != nil {
		return place, failed("posting failed: %v: %s", err, answer)
	}
	t.say("the answer after %d ms; the message of each object is its transaction on Algorand:", time.Since(begun).Milliseconds())
	t.say("%s", pretty(answer))
	if status.FailureCount != 0 {
		return place, failed("objects were refused")
	}
	for _, detail := range status.Successes {
		if detail.ID == id {
			return detail, nil
		}
	}
	return place, failed("the answer does not tell where %s is", id)
}

// ask makes a request to the TAXII server of an organisation. The first one logs in: a password with every look of who
// waits would cost the node more than what is looked at.
func (t *testnet) ask(ctx context.Context, n int, method, path string, body []byte) ([]byte, error) {
	node := t.node(n)
	if t.tokens[n] == "" {
		token, err := node.Login(ctx)
		if err != nil {
			return nil, err
		}
		t.tokens[n] = token
	}
	request, err := node.Request(ctx, t.tokens[n], method, path, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", taxii.MediaType)
	if body != nil {
		request.Header.Set("Content-Type", taxii.MediaType)
	}
	return cluster.Do(request)
}

// object is a path to an object of the first organisation's default collection, at another one.
func (t *testnet) object(n int, id string) string {
	return "/" + t.organisations[n-1].Org + "/collections/" + t.organisations[0].Collection + "/objects/?match[id]=" + url.QueryEscape(id)
}

// awaitObject waits until an organisation shows an object.
func (t *testnet) awaitObject(ctx context.Context, n int, id string, begun time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	name := t.organisations[n-1].Org
	err := cluster.Until(ctx, func(ctx context.Context) (bool, error) {
		answer, err := t.ask(ctx, n, http.MethodGet, t.object(n, id), nil)
		return err == nil && bytes.Contains(answer, []byte(id)), nil // it may not know the collection yet
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return &cluster.Failure{What: name + " did not show the indicator in a minute", Log: t.log(name)}
	}
	if err == nil {
		t.say("%s shows the indicator %d ms after it was posted", name, time.Since(begun).Milliseconds())
	}
	return err
}

// showNFT tells what the indexer has about an asset.
func (t *testnet) showNFT(ctx context.Context, place taxii.StatusDetailResource) error {
	t.step("its NFT (transaction %s)", place.TxID)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var found struct {
		Asset struct {
			Index  uint64 `json:"index"`
			Round  uint64 `json:"created-at-round"`
			Params struct {
				Creator string `json:"creator"`
				Name    string `json:"name"`
				Unit    string `json:"unit-name"`
				URL     string `json:"url"`
			} `json:"params"`
		} `json:"asset"`
	}
	err := cluster.Until(ctx, func(ctx context.Context) (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/v2/assets/%d", t.indexer, place.AssetID), nil)
		if err != nil {
			return false, err
		}
		request.Header.Set("X-Indexer-API-Token", t.indexerToken)
		answer, err := cluster.Do(request)
		if err != nil {
			return false, nil // it follows algod after a while
		}
		return true, json.Unmarshal(answer, &found)
	})
	if err != nil {
		return fmt.Errorf("asking the indexer for asset %d: %w", place.AssetID, err)
	}
	asset := found.Asset
	t.say("    asset    %d, made in round %d", asset.Index, asset.Round)
	t.say("    creator  %s", asset.Params.Creator)
	t.say("    name     %s (%s)", asset.Params.Name, asset.Params.Unit)
	t.say("    url      %s", asset.Params.URL)
	return nil
}

// showDirectory shows what is behind a CID, as a gateway gives it.
func (t *testnet) showDirectory(ctx context.Context, at *cluster.Node, cid string) error {
	t.step("the directory behind its CID, at %s's gateway", at.Name)
	file := func(name string) ([]byte, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.organisations[0].Gateway+"/ipfs/"+cid+"/"+name, nil)
		if err != nil {
			return nil, err
		}
		return cluster.Do(request)
	}
	metadata, err := file("metadata.json")
	if err != nil {
		return fmt.Errorf("reading the metadata of %s: %w", cid, err)
	}
	object, err := file("object.json")
	if err != nil {
		return fmt.Errorf("reading the object of %s: %w", cid, err)
	}
	t.say("  metadata.json\n%s", pretty(metadata))
	t.say("  object.json")
	for line := range strings.Lines(string(object)) {
		line = strings.TrimSuffix(line, "\n")
		t.say("    %s…", line[:min(len(line), 120)])
	}
	return nil
}

// showReader shows an object as the second organisation reads it, and the evidence for it.
func (t *testnet) showReader(ctx context.Context, id string) error {
	node := t.node(2)
	t.step("the object as it is read at %s, over TAXII", node.Name)
	answer, err := t.ask(ctx, 2, http.MethodGet, t.object(2, id), nil)
	if err != nil {
		return fmt.Errorf("reading %s at %s: %w", id, node.Name, err)
	}
	t.say("%s", pretty(answer))
	t.step("the evidence, at %s (slnode verify)", node.Name)
	said, err := node.Run(ctx, "verify", id)
	if err != nil {
		return err
	}
	fmt.Fprint(t.out, indent(said.Stdout, "    "))
	fmt.Fprint(t.errs, said.Stderr)
	if said.Code != 0 {
		return &cluster.Failure{What: "the verification failed", Log: node.Log}
	}
	return nil
}

// table tells how the organisations are reached, and what to try.
func (t *testnet) table() {
	t.step("the consortium is up")
	t.say("%-3s %-10s %-24s %-7s %-22s %s", "#", "organisation", "TAXII", "user", "password", "gateway")
	for i, o := range t.organisations {
		t.say("%-3d %-12s %-24s %-7s %-22s %s", i+1, o.Org, o.URL, o.User, o.Password, o.Gateway)
	}
	t.say(`
The same is in %[1]s. Try next:

  . %[1]s
  curl -u $SL_1_USER:$SL_1_PASSWORD $SL_1_URL/taxii2/
  curl -u $SL_1_USER:$SL_1_PASSWORD $SL_1_URL/$SL_1_ORG/collections/
  curl -u $SL_1_USER:$SL_1_PASSWORD -H 'Content-Type: application/taxii+json;version=2.1' \
       --data-binary @your-bundle.json $SL_1_URL/$SL_1_ORG/collections/$SL_1_COLLECTION/objects/
  curl -g -u $SL_2_USER:$SL_2_PASSWORD "$SL_2_URL/$SL_2_ORG/collections/$SL_2_COLLECTION/objects/?match[type]=indicator"
  %[2]s/slnode --repo %[3]s status
  scripts/testnet.sh kill 2; scripts/testnet.sh restart 2; scripts/testnet.sh down`, t.path("env"), t.bin, t.path(t.organisations[0].Org))
}
