package p2p

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-varint"
)

// The peers protocol tells a member where the other members are: whoever opens a stream gets signed peer records,
// each as its length (a uvarint) and its bytes, until the stream ends. Records are signed by the peers they
// speak of, so nobody can lie about others' addresses.
const peersProtocol = "/serviceledger/1/peers"

const (
	maxRecords      = 256
	maxRecordsBytes = maxRecords * (maxRecord + 2)
	peersTimeout    = 15 * time.Second
)

func writeRecords(w io.Writer, records [][]byte) error {
	out := bufio.NewWriter(w)
	for _, r := range records {
		if _, err := out.Write(binary.AppendUvarint(nil, uint64(len(r)))); err != nil {
			return err
		}
		if _, err := out.Write(r); err != nil {
			return err
		}
	}
	return out.Flush()
}

// readRecords reads an answer whose every byte may be hostile, up to maxRecords.
func readRecords(r io.Reader) ([]*signedRecord, error) {
	in := bufio.NewReader(io.LimitReader(r, maxRecordsBytes))
	var records []*signedRecord
	for len(records) < maxRecords {
		n, err := varint.ReadUvarint(in)
		if err == io.EOF {
			return records, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the length of record %d: %w", len(records), err)
		}
		if n > maxRecord {
			return nil, fmt.Errorf("record %d has %d bytes", len(records), n)
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(in, b); err != nil {
			return nil, fmt.Errorf("read record %d: %w", len(records), err)
		}
		record, err := openRecord(b)
		if err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	return records, nil
}

// askPeers asks a connected peer whom it knows.
func askPeers(ctx context.Context, h host.Host, from peer.ID) ([]*signedRecord, error) {
	ctx, cancel := context.WithTimeout(ctx, peersTimeout)
	defer cancel()
	stream, err := h.NewStream(network.WithNoDial(ctx, "asked only while connected"), from, peersProtocol)
	if err != nil {
		return nil, fmt.Errorf("ask %s for peers: %w", from, err)
	}
	defer stream.Close()
	defer context.AfterFunc(ctx, func() { _ = stream.Reset() })()
	_ = stream.CloseWrite() // there is nothing to say; a broken stream shows when it is read
	records, err := readRecords(stream)
	if err != nil {
		_ = stream.Reset()
		return nil, fmt.Errorf("ask %s for peers: %w", from, err)
	}
	return records, nil
}
