#!/usr/bin/env bash
# A consortium on this machine: one process per organisation, made as real members would make it. What it does is in
# testnet/cmd/testnet, and what that shares with the end-to-end tests in testnet/cluster.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ ! -x bin/testnet ]; then
	make --silent bin/testnet >&2
fi
exec bin/testnet "$@"
