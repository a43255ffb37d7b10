package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// inImage is whom the node runs as in a container, in numbers: there is nobody else.
const inImage = 65532

// writeImage makes an OCI archive of an image with the program, the certificates of the public authorities, and nothing
// else. "podman load", "skopeo copy oci-archive:" and, for its manifest.json, every "docker load" read it.
func writeImage(t target, path string) error {
	image, err := imageOf(t)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "slnode-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	index, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	name := "slnode:" + t.version
	if err := index.AppendImage(image, layout.WithAnnotations(map[string]string{
		"io.containerd.image.name":          "docker.io/library/" + name, // what ctr and Docker's newer store call it
		"org.opencontainers.image.ref.name": t.version,
	}), layout.WithPlatform(v1.Platform{OS: "linux", Architecture: t.arch})); err != nil {
		return err
	}
	if err := writeDockerManifest(filepath.Join(dir, "manifest.json"), image, name); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(writeTree(f, dir, ".", t.date), f.Close())
}

func imageOf(t target) (v1.Image, error) {
	program, err := os.ReadFile(t.program)
	if err != nil {
		return nil, err
	}
	image := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1)
	for _, files := range [][]imageFile{
		baseFiles(), // the same for many releases, so that it is fetched once
		{{name: "usr/"}, {name: "usr/bin/"}, {name: "usr/bin/slnode", mode: 0o755, data: program}},
	} {
		layer, err := layerOf(files, t.date)
		if err != nil {
			return nil, err
		}
		addendum := mutate.Addendum{Layer: layer, MediaType: types.OCILayer, History: v1.History{Created: v1.Time{Time: t.date}, CreatedBy: "make release"}}
		if image, err = mutate.Append(image, addendum); err != nil {
			return nil, err
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config.OS, config.Architecture, config.Created = "linux", t.arch, v1.Time{Time: t.date}
	config.Config = v1.Config{
		User:       fmt.Sprintf("%d:%d", inImage, inImage),
		Env:        []string{"PATH=/usr/bin", "SLNODE_REPO=/var/lib/slnode"},
		Entrypoint: []string{"/usr/bin/slnode"},
		Cmd:        []string{"daemon"},
		WorkingDir: "/var/lib/slnode",
		Volumes:    map[string]struct{}{"/var/lib/slnode": {}},
		Labels:     map[string]string{"org.opencontainers.image.title": "slnode", "org.opencontainers.image.version": t.version},
	}
	return mutate.ConfigFile(image, config)
}

// imageFile is a file of the image, or a folder if its name ends in a slash.
type imageFile struct {
	name  string
	mode  int64 // of a folder 0755 if it is 0, of a file 0644
	owner int
	data  []byte
}

// baseFiles are what a program without a C library needs beside itself.
func baseFiles() []imageFile {
	var authorities bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil { // the others are on their way out, which a file of certificates can't say
			authorities.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return []imageFile{
		{name: "etc/"},
		{name: "etc/group", data: fmt.Appendf(nil, "slnode:x:%d:\n", inImage)},
		{name: "etc/passwd", data: fmt.Appendf(nil, "slnode:x:%d:%d::/var/lib/slnode:/sbin/nologin\n", inImage, inImage)},
		{name: "etc/ssl/"},
		{name: "etc/ssl/certs/"},
		{name: "etc/ssl/certs/ca-certificates.crt", data: authorities.Bytes()},
		{name: "tmp/", mode: 0o1777},
		{name: "var/"},
		{name: "var/lib/"},
		{name: "var/lib/slnode/", mode: 0o700, owner: inImage},
	}
}

func layerOf(files []imageFile, date time.Time) (v1.Layer, error) {
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Typeflag: tar.TypeReg, Mode: cmp.Or(f.mode, 0o644), Size: int64(len(f.data)), Uid: f.owner, Gid: f.owner, ModTime: date}
		if strings.HasSuffix(f.name, "/") {
			header.Typeflag, header.Mode = tar.TypeDir, cmp.Or(f.mode, 0o755)
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}

// writeDockerManifest says in Docker's words what is in the archive.
func writeDockerManifest(path string, image v1.Image, name string) error {
	config, err := image.ConfigName()
	if err != nil {
		return err
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	blob := func(hash v1.Hash) string { return "blobs/" + hash.Algorithm + "/" + hash.Hex }
	entry := tarball.Descriptor{Config: blob(config), RepoTags: []string{name}}
	for _, layer := range layers {
		digest, err := layer.Digest()
		if err != nil {
			return err
		}
		entry.Layers = append(entry.Layers, blob(digest))
	}
	text, err := json.Marshal(tarball.Manifest{entry})
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}
