package main

import (
	"compress/gzip"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
)

// writePackage makes a Debian package of what is below root.
func writePackage(path, root, maintainer string, t target) error {
	if err := compressManuals(filepath.Join(root, "usr/share/man/man1")); err != nil {
		return err
	}
	contents, err := contentsOf(root)
	if err != nil {
		return err
	}
	scripts := filepath.Join(t.source, "scripts/release/debian")
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: "slnode", Arch: t.arch, Platform: "linux", Version: debianVersion(t.version), VersionSchema: "none",
		Section: "net", Priority: "optional", Maintainer: maintainer,
		Homepage: "https://github.com/serviceledger/slnode",
		Description: "node of a Service Ledger consortium\n" +
			"Organisations that defend themselves together share threat intelligence with no\n" +
			"server in the middle: STIX 2.1 over TAXII 2.1, encrypted, stored on IPFS and\n" +
			"minted on Algorand. This is the node that each of them runs, and its command line.",
		MTime: t.date, DisableGlobbing: true,
		Overridables: nfpm.Overridables{
			Depends: []string{"adduser"}, Recommends: []string{"ca-certificates", "procps"},
			Contents: contents,
			Scripts: nfpm.Scripts{
				PostInstall: filepath.Join(scripts, "postinst"),
				PreRemove:   filepath.Join(scripts, "prerm"),
				PostRemove:  filepath.Join(scripts, "postrm"),
			},
		},
	})
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(deb.Default.Package(info, f), f.Close())
}

// contentsOf are the files below root; the folders follow from them.
func contentsOf(root string) (contents files.Contents, err error) {
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		contents = append(contents, &files.Content{
			Source: path, Destination: strings.TrimPrefix(path, root), FileInfo: &files.ContentFileInfo{Mode: plain(info.Mode())},
		})
		return nil
	})
	return contents, err
}

// debianVersion has Debian's way to say that something comes before a version: 1.0.0-rc.1 is 1.0.0~rc.1.
func debianVersion(version string) string {
	version, before, isBefore := strings.Cut(version, "-")
	if !isBefore {
		return version
	}
	return version + "~" + strings.ReplaceAll(before, "-", ".")
}

// compressManuals does what Debian's policy asks for.
func compressManuals(dir string) error {
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil {
		return err
	}
	for _, page := range pages {
		data, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		f, err := os.Create(page + ".gz")
		if err != nil {
			return err
		}
		z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
		if err != nil {
			return errors.Join(err, f.Close())
		}
		_, err = z.Write(data)
		if err := errors.Join(err, z.Close(), f.Close(), os.Remove(page)); err != nil {
			return err
		}
	}
	return nil
}
