package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/keys"
)

// Backup writes a backup of the repository in dir, in clear: the caller seals it on its way. If a daemon runs on the
// repository, it gives its part, which holds no key; else the repository is opened, for which sealed keys are opened,
// and so are its blocks.
func Backup(ctx context.Context, dir string, passphrase keys.Passphrase, open func(dir string) (Blocks, error), w io.Writer) (repo.Manifest, error) {
	client, err := FindDaemon(ctx, dir)
	if err != nil {
		return repo.Manifest{}, err
	}
	if client != nil {
		dump, err := client.dump(ctx)
		if err != nil {
			return repo.Manifest{}, err
		}
		defer dump.Close()
		return repo.Backup(dir, dump, w)
	}
	r, err := repo.Open(dir, passphrase)
	if err != nil {
		return repo.Manifest{}, err
	}
	manifest, err := backupOffline(ctx, r, open, w)
	auditlog.New(r).Command("backup", "", err)
	return manifest, errors.Join(err, r.Close())
}

func backupOffline(ctx context.Context, r *repo.Repo, open func(dir string) (Blocks, error), w io.Writer) (m repo.Manifest, err error) {
	read := func(context.Context, string) ([]repo.File, error) { return nil, nil }
	if _, err := os.Stat(repo.BlocksPath(r.Dir)); !errors.Is(err, fs.ErrNotExist) {
		blocks, err := open(repo.BlocksPath(r.Dir))
		if err != nil {
			return m, err
		}
		defer func() { err = errors.Join(err, blocks.Close()) }()
		read = readFrom(blocks)
	}
	from, to := io.Pipe()
	dumped := make(chan struct{})
	go func() {
		defer close(dumped)
		to.CloseWithError(r.Dump(ctx, to, read))
	}()
	m, err = repo.Backup(r.Dir, from, w)
	from.CloseWithError(err)
	<-dumped
	return m, err
}

// directoryReader is where directories are read: a host, or the store of one that doesn't run.
type directoryReader interface {
	// Read's error wraps [unixfs.ErrNotFound] if the directory is not here.
	Read(ctx context.Context, root cid.Cid) ([]unixfs.File, error)
}

// Blocks is the store of a host that does not run.
type Blocks interface {
	directoryReader
	io.Closer
}

// readFrom reads directories for a dump, which skips what is not here.
func readFrom(blocks directoryReader) func(context.Context, string) ([]repo.File, error) {
	return func(ctx context.Context, directory string) ([]repo.File, error) {
		root, err := cid.Decode(directory)
		if err != nil {
			return nil, fmt.Errorf("directory %.80q: %w", directory, err)
		}
		files, err := blocks.Read(ctx, root)
		if errors.Is(err, unixfs.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		list := make([]repo.File, len(files))
		for i, f := range files {
			list[i] = repo.File{Name: f.Name, Data: f.Data}
		}
		return list, nil
	}
}

// serveDump answers with the daemon's part of a backup. An answer that is cut off is the caller's sign of a failure.
func (a *API) serveDump(w http.ResponseWriter, r *http.Request) {
	err := a.Repo.Dump(r.Context(), patientWriter{w, http.NewResponseController(w)}, readFrom(a.Host))
	a.Trail.Changed(r.Context(), "backup", "", nil, err)
	if err != nil {
		a.Log.Warn("a backup failed", "error", err)
		panic(http.ErrAbortHandler)
	}
}

// patientWriter lets an answer take as long as it needs, while it goes on.
type patientWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

// dumpStall is how long a reader of a dump may pause: it writes to a disk that may be slow.
const dumpStall = 5 * time.Minute

func (w patientWriter) Write(data []byte) (int, error) {
	if err := w.control.SetWriteDeadline(time.Now().Add(dumpStall)); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(data)
}

// dump asks a daemon for its part of a backup.
func (c *Client) dump(ctx context.Context) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/admin/dump", nil)
	if err != nil {
		return nil, fmt.Errorf("asking the node for a dump: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking the node for a dump: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("asking the node for a dump: it answered %s", response.Status), response.Body.Close())
	}
	return response.Body, nil
}
