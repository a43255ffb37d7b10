#!/usr/bin/env bash
# Loads the container image of this commit with podman and starts a node from it, as docs/OPERATIONS.md says: from nothing
# to a consortium of one, in a volume, without rights and with nothing else writable. DIST names a folder with a release
# that is made already, PODMAN_RUN what "podman run" needs here, such as --cgroups=disabled.
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! command -v podman >/dev/null; then
	echo "not tried: it needs podman" >&2
	exit 0
fi
work=$(mktemp -d)
chain=
podman() { command podman --root "$work/storage" --runroot "$work/run" --storage-driver "${STORAGE:-vfs}" --cgroup-manager cgroupfs "$@" 2> >(grep -v 'CNI config file' >&2); }
finish() {
	podman rm --force --all --time 20 >/dev/null || true
	[ -z "$chain" ] || kill "$chain"
	wait
	podman unshare rm -rf "$work" 2>/dev/null || rm -rf --one-file-system "$work"
}
trap finish EXIT
fail() {
	echo "FAIL: $*" >&2
	podman logs acme >&2 || true
	exit 1
}
# until_true COMMAND waits for what comes sooner or later.
until_true() {
	for _ in $(seq 300); do
		if "$@" >"$work/said" 2>&1; then return; fi
		sleep 0.5
	done
	cat "$work/said" >&2
	fail "this did not become true: $*"
}

arch=$(go env GOARCH)
if [ -z "${DIST:-}" ]; then
	DIST=$work/dist
	make release ARCH="$arch" OUT="$DIST"
fi
go build -o "$work/devchain" ./testnet/cmd/devchain
archive=$(ls "$DIST"/slnode_*_linux_"$arch".oci.tar)
version=${archive##*/slnode_}
version=${version%_linux_"$arch".oci.tar}
podman load --quiet -i "$archive"
image=$(podman images --format '{{.Repository}}:{{.Tag}}' | grep '/slnode:') || fail "no image is there"
[ "${image##*:}" = "$version" ] || fail "the image is called $image, and the release is $version"

"$work/devchain" serve --algod 127.0.0.1:0 --indexer 127.0.0.1:0 --ready-file "$work/ready" --funder-file "$work/funder" >"$work/chain.log" 2>&1 &
chain=$!
until_true test -e "$work/ready"
. "$work/ready"

# The chain answers on this machine's loopback, so the containers have its network.
confined=(${PODMAN_RUN:-} --network host --ulimit nofile=4096:4096 --ulimit nproc=1024:1024 --read-only --cap-drop ALL --security-opt no-new-privileges -v acme:/var/lib/slnode)
once() { podman run --rm "${confined[@]}" "$image" "$@"; }
once version || fail "podman does not run it; PODMAN_RUN says what it needs on this machine"
once init --org acme --title "ACME CERT" --algod "$SL_ALGOD_URL" --algod-token "$SL_ALGOD_TOKEN" --indexer "$SL_INDEXER_URL" \
	--taxii-listen 127.0.0.1:0 --gateway '' --ipfs-listen /ip4/127.0.0.1/tcp/0 | tee "$work/init"
"$work/devchain" fund --algod "$SL_ALGOD_URL" --algod-token "$SL_ALGOD_TOKEN" --funder-file "$work/funder" --algo 10 \
	--to "$(awk '$1 == "account" { print $2 }' "$work/init")"
once consortium create --name "Image Test"
podman run -d --name acme "${confined[@]}" "$image" >/dev/null
until_true podman exec acme slnode status --check
podman exec acme slnode status
podman exec acme slnode backup --new-identity /var/lib/slnode/safe.key /var/lib/slnode/acme.backup >/dev/null
podman stop --time 60 acme >/dev/null
code=$(podman inspect --format '{{.State.ExitCode}}' acme)
[ "$code" = 0 ] || fail "told to stop, it ends with $code"
podman start acme >/dev/null
until_true podman exec acme slnode status --check
echo "the image loads, starts, stops, and starts again"
