package devchain

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
)

// blockLog is a file of blocks, one after the other: length and CRC-32C, four bytes each, big-endian, then the
// block. A record that a crash cut short is dropped when the file is opened, and what follows it.
type blockLog struct {
	file *os.File
	end  int64 // of the last whole record
}

// maxStoredBlock bounds what a length in the file is believed: a full block is 5 MiB.
const maxStoredBlock = 64 << 20

const recordHeader = 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openBlockLog opens or creates the file and gives every block in it to each.
func openBlockLog(path string, logger *slog.Logger, each func(raw []byte) error) (*blockLog, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the block log: %w", err)
	}
	l := &blockLog{file: f}
	if err := l.load(logger, each); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return l, nil
}

func (l *blockLog) load(logger *slog.Logger, each func(raw []byte) error) error {
	in := bufio.NewReaderSize(l.file, 1<<20)
	for {
		raw, err := readRecord(in)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			logger.Warn("the block log ends in a damaged record, dropping it", "offset", l.end, "error", err)
			break
		}
		if err := each(raw); err != nil {
			return fmt.Errorf("block log at byte %d: %w", l.end, err)
		}
		l.end += recordHeader + int64(len(raw))
	}
	if err := l.file.Truncate(l.end); err != nil {
		return fmt.Errorf("truncating the block log: %w", err)
	}
	return nil
}

// readRecord returns io.EOF at the end of the last whole record only.
func readRecord(in io.Reader) ([]byte, error) {
	var head [recordHeader]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:4])
	if size > maxStoredBlock {
		return nil, fmt.Errorf("a block of %d bytes", size)
	}
	raw := make([]byte, size)
	if n, err := io.ReadFull(in, raw); err != nil {
		return nil, fmt.Errorf("%d of %d bytes", n, size)
	}
	if crc32.Checksum(raw, castagnoli) != binary.BigEndian.Uint32(head[4:]) {
		return nil, errors.New("checksum mismatch")
	}
	return raw, nil
}

// frame makes a record of a block.
func frame(raw []byte) ([]byte, error) {
	if len(raw) > maxStoredBlock {
		return nil, fmt.Errorf("a block of %d bytes", len(raw))
	}
	record := binary.BigEndian.AppendUint32(make([]byte, 0, recordHeader+len(raw)), uint32(len(raw)))
	record = binary.BigEndian.AppendUint32(record, crc32.Checksum(raw, castagnoli))
	return append(record, raw...), nil
}

// append hands a block to the operating system, which keeps it if this process dies.
func (l *blockLog) append(raw []byte) error {
	record, err := frame(raw)
	if err != nil {
		return err
	}
	if _, err := l.file.WriteAt(record, l.end); err != nil {
		return err // the next record overwrites what got written of this one
	}
	l.end += int64(len(record))
	return nil
}

// Close flushes the file to the disk.
func (l *blockLog) Close() error {
	return errors.Join(l.file.Sync(), l.file.Close())
}
