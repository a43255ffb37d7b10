#!/bin/sh
# Founds a consortium of three on the development chain of compose.yaml, with the administrator alice at each node. It does
# so once; after an interruption "docker compose down --volumes" and begin again.
set -eu
here=${REHEARSAL:-/rehearsal}
[ ! -e "$here/chain/founded" ] || exit 0
until [ -e "$here/chain/ready" ]; do sleep 1; done # the chain answers
. "$here/chain/ready"

# newcomer NAME TITLE TAXII-PORT IPFS-PORT makes a repository with money and an account.
newcomer() {
	made=$(slnode --repo "$here/$1" init --org "$1" --title "$2" \
		--algod "$SL_ALGOD_URL" --algod-token "$SL_ALGOD_TOKEN" --indexer "$SL_INDEXER_URL" \
		--taxii-listen "${LISTEN:-0.0.0.0}:${ANY_PORT:-$3}" --gateway '' --ipfs-listen "/ip4/127.0.0.1/tcp/${ANY_PORT:-$4}")
	devchain fund --algod "$SL_ALGOD_URL" --algod-token "$SL_ALGOD_TOKEN" --funder-file "$SL_FUNDER_FILE" --algo 1000 \
		--to "$(echo "$made" | awk '$1 == "account" { print $2 }')"
	printf '%s\n' "$PASSWORD" | slnode --repo "$here/$1" account add alice --role admin
}

# admit NAME lets a newcomer into alpha's consortium.
admit() {
	slnode --repo "$here/$1" member request -o "$here/chain/$1.request"
	slnode --repo "$here/alpha" member admit --yes "$here/chain/$1.request" -o "$here/chain/$1.invite"
	slnode --repo "$here/$1" join "$here/chain/$1.invite"
}

newcomer alpha 'Alpha CERT' 9440 4002
slnode --repo "$here/alpha" consortium create --name Rehearsal
newcomer bravo 'Bravo Bank' 9450 4003
admit bravo
newcomer charlie 'Charlie Clinic' 9460 4004
admit charlie
touch "$here/chain/founded"
