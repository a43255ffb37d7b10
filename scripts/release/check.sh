#!/usr/bin/env bash
# Makes a release of the commit twice, with another time zone, language and umask the second time, in other folders and with
# nothing remembered of what was compiled, and compares the bytes. With WARM=1 what was compiled is remembered, and only
# what is linked and packed is made twice: minutes in place of half an hour.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

make release OUT="$work/first"
(
	umask 077
	mkdir "$work/elsewhere"
	[ -n "${WARM:-}" ] || export GOCACHE="$work/cache"
	export TMPDIR="$work/elsewhere" TZ=Pacific/Auckland LC_ALL=C LANG=C SLNODE_REPO=/nowhere
	make release OUT="$work/second"
)
(cd "$work/first" && sha256sum --quiet --check SHA256SUMS)
diff -r "$work/first" "$work/second"
cat "$work/first/SHA256SUMS"
echo "twice the same bytes"
