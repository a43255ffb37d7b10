#!/usr/bin/env bash
# Installs the Debian package of this commit in a bare Debian in a folder, and starts a node there, as docs/OPERATIONS.md
# says: from nothing to a consortium of one, an upgrade, and a removal that keeps the keys.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null; then
	echo "not tried: it needs root and debootstrap" >&2
	exit 0
fi
work=$(mktemp -d)
root=$work/root
chain=
daemon=
finish() {
	for pid in $daemon $chain; do kill "$pid" 2>/dev/null || true; done
	wait
	rm -rf --one-file-system "$work"
}
trap finish EXIT
fail() {
	echo "FAIL: $*" >&2
	tail -n 20 "$work"/*.log >&2 || true
	exit 1
}
inside() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
as_service=(chroot --userspec=slnode:slnode "$root" /usr/bin/env -i PATH=/usr/bin slnode --repo /var/lib/slnode)
slnode() { "${as_service[@]}" "$@"; }
# until_true COMMAND waits for what comes sooner or later.
until_true() {
	for _ in $(seq 600); do
		if "$@"; then return; fi
		sleep 0.5
	done
	fail "this did not become true: $*"
}

arch=$(dpkg --print-architecture)
make release ARCH="$arch" OUT="$work/dist"
go build -o "$work/devchain" ./testnet/cmd/devchain
debootstrap --variant=minbase "${DEBIAN:-bookworm}" "$root" >"$work/debootstrap.log" || fail "debootstrap"

cp "$work"/dist/*.deb "$root/slnode.deb"
inside apt-get install --quiet --yes --no-install-recommends /slnode.deb >"$work/install.log" 2>&1 || fail "apt-get install"
inside slnode version
[ "$(inside stat -c '%U %G %a' /var/lib/slnode)" = "slnode slnode 700" ] || fail "the folder is not the service's alone"
[ "$(inside getent passwd slnode | cut -d: -f6-7)" = "/var/lib/slnode:/usr/sbin/nologin" ] || fail "the user"
inside sh -c 'bash -n /usr/share/bash-completion/completions/slnode && gzip -t /usr/share/man/man1/slnode.1.gz' || fail "completion or pages"
[ -z "$(cd "$root" && find usr/lib/systemd usr/share/man/man1/slnode* usr/bin/slnode ! -user root)" ] || fail "something belongs to somebody else"

"$work/devchain" serve --algod 127.0.0.1:0 --indexer 127.0.0.1:0 --ready-file "$work/ready" --funder-file "$work/funder" >"$work/chain.log" 2>&1 &
chain=$!
until_true test -e "$work/ready"
. "$work/ready"
slnode init --org acme --title "ACME CERT" --algod "$SL_ALGOD_URL" --algod-token "$SL_ALGOD_TOKEN" --indexer "$SL_INDEXER_URL" \
	--taxii-listen 127.0.0.1:0 --gateway '' --ipfs-listen /ip4/127.0.0.1/tcp/0 | tee "$work/init.log"
account=$(awk '$1 == "account" { print $2 }' "$work/init.log")
"$work/devchain" fund --algod "$SL_ALGOD_URL" --algod-token "$SL_ALGOD_TOKEN" --funder-file "$work/funder" --to "$account" --algo 10
slnode consortium create --name "Package Test"

start() { # as the unit does
	[ "$(sed -n 's/^ExecStart=//p' "$root/usr/lib/systemd/system/slnode.service")" = "/usr/bin/slnode --repo /var/lib/slnode daemon" ] || fail "the unit starts something else"
	"${as_service[@]}" daemon >"$work/daemon.log" 2>&1 & # no function: the signal must reach the program
	daemon=$!
	until_true grep -q 'the node is ready' "$work/daemon.log"
}
stop() {
	kill "$daemon"
	wait "$daemon" || fail "the daemon ends with $?"
	daemon=
}
start
grep -m 1 'the node starts' "$work/daemon.log"
until_true slnode status --check
stop

inside dpkg --install /slnode.deb >"$work/upgrade.log" 2>&1 || fail "an upgrade"
start
until_true slnode status --check
stop
echo 'nonsense = 1' >>"$root/var/lib/slnode/config.toml"
code=0
slnode daemon 2>"$work/mistake.log" || code=$?
[ "$code" = 2 ] || fail "a mistake in the configuration ends with $code, and systemd would start it again"

inside dpkg --purge slnode >"$work/purge.log" 2>&1 || fail "a purge"
[ -e "$root/var/lib/slnode/keys/identity.age" ] || fail "a purge takes the organisation's keys"
[ ! -e "$root/usr/bin/slnode" ] || fail "a purge leaves the program"
echo "the package installs, starts, upgrades, and leaves the keys"
