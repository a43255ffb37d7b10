package node

import (
	"context"
	"fmt"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

// takeRestored takes what came with a backup into the block store. What is not what its name says is left out.
func (n *Node) takeRestored(ctx context.Context) error {
	for {
		restored, err := n.repo.Restored()
		if err != nil || len(restored) == 0 {
			return err
		}
		var directories []unixfs.Directory
		for _, one := range restored {
			var files []unixfs.File
			for _, f := range one.Files {
				files = append(files, unixfs.File{Name: f.Name, Data: f.Data})
			}
			directory, err := unixfs.Build(files...)
			if err != nil || directory.Root().String() != one.CID {
				n.log.Warn("a directory of the backup is damaged and left out", "cid", one.CID, "error", err)
				continue
			}
			directories = append(directories, directory)
		}
		if err := n.host.Put(ctx, directories); err != nil {
			return fmt.Errorf("storing what was restored: %w", err)
		}
		if err := n.repo.ForgetRestored(restored); err != nil {
			return err
		}
	}
}
