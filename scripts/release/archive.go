package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"time"
)

// writeArchive packs what is below root, under one folder.
func writeArchive(file, root, folder string, date time.Time) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	z := gzip.NewWriter(f)
	return errors.Join(writeTree(z, root, folder, date), z.Close(), f.Close())
}

// writeTree writes a tar file of what is below root in the order of the names, with one owner and one time, and of the
// modes only who may execute: nothing of this machine is in it.
func writeTree(to io.Writer, root, folder string, date time.Time) error {
	w := tar.NewWriter(to)
	files := os.DirFS(root)
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		header := &tar.Header{Name: path.Join(folder, name), Mode: int64(plain(info.Mode())), ModTime: date, Format: tar.FormatPAX}
		if entry.IsDir() {
			if header.Name == "." {
				return nil
			}
			header.Typeflag, header.Name = tar.TypeDir, header.Name+"/"
			return w.WriteHeader(header)
		}
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		header.Size = int64(len(data))
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	return errors.Join(err, w.Close())
}

// plain is a mode without what a umask says: others may read, and execute what the owner may execute.
func plain(mode fs.FileMode) fs.FileMode {
	if mode&0o100 != 0 {
		return 0o755
	}
	return 0o644
}
