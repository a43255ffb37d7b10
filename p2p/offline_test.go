package p2p

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestAStoreIsReadWhileNoHostRuns(t *testing.T) {
	w := newWorld(t)
	c := w.config()
	h, other := startOn(t, c, vfs.Default), w.member()
	w.members.set(h.ID(), true)
	connect(t, h, other)
	small, large := directory(t), directoryOf(t, 3*chunkSize+1, "large")
	put(t, h, small, large)
	eventually(t, "the other's address to be kept", func() bool {
		known, err := newAddressBook(h.store.data).load(context.Background())
		return err == nil && len(known) == 1
	})
	closeHost(t, h)

	o, err := OpenOffline(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, d := range []Directory{small, large} {
		want, err := d.Files()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := o.Read(t.Context(), d.Root()); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("read %d files, %v", len(got), err)
		}
	}
	if _, err := o.Read(t.Context(), directoryOf(t, 10, "absent").Root()); !errors.Is(err, ErrNotFound) {
		t.Errorf("reading what is not there: %v", err)
	}
	peers, err := o.Peers(t.Context())
	if err != nil || len(peers) != 1 || peers[0].ID != other.ID() || len(peers[0].Addrs) == 0 {
		t.Errorf("peers %v, %v", peers, err)
	}
}
