#!/usr/bin/env bash
# A consortium on this machine: one process per organisation, made as real members would make it.
set -euo pipefail
cd "$(dirname "$0")/.."

NET=${SL_TESTNET:-.testnet}
SLNODE=bin/slnode
DEVCHAIN=bin/devchain
SAMPLE=internal/stix/testdata/sample-bundle.json
NAMES=(alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa quebec romeo
	sierra tango uniform victor whiskey xray yankee zulu)

usage() {
	cat <<'USAGE'
usage: scripts/testnet.sh COMMAND

  up [--nodes N]          bring up a development chain and N organisations (default 3), publish a sample bundle, stay up
     [--round-time D]     let the chain close a round every D (such as 3s) instead of with every transaction group
     [--algod URL --algod-token T --indexer URL [--indexer-token T] --funder-file FILE [--algo N]]
                          use this Algorand network instead; the account of the 25 words in FILE gives each organisation
                          N ALGO (default 10, enough for some 85 objects; 10000 on the development chain)
  down                    stop everything and delete it
  status                  what runs, and how it is
  logs [n]                the end of the logs, of all or of organisation n
  restart n               stop organisation n and start it again
  kill n                  end organisation n with SIGKILL
  fund n [ALGO]           send organisation n some more ALGO
  add ORG                 make one more organisation, admit it, start it
  demo sharing            a scenario to watch: create, publish, grant late, revoke, publish again, withdraw
USAGE
}

say() { printf '%s\n' "$*"; }
step() { printf '\n== %s\n' "$*"; }

# field NAME: the first value of a JSON property in what is piped in (flat values only; enough for our own output).
field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p" | head -n 1; }

# pretty: JSON on lines of its own, indented.
pretty() {
	awk '
	{ text = text $0 }
	END {
		depth = 2
		line = ""
		for (i = 1; i <= length(text); i++) {
			c = substr(text, i, 1)
			if (quoted) {
				line = line c
				if (c == "\\") { i++; line = line substr(text, i, 1) } else if (c == "\"") quoted = 0
			} else if (c == "\"") { line = line c; quoted = 1
			} else if (c == "{" || c == "[") { out(line c); depth++
			} else if (c == "}" || c == "]") { if (line != "") out(line); depth--; line = c
			} else if (c == ",") { out(line c)
			} else if (c == ":") { line = line ": "
			} else if (c !~ /[ \t]/) line = line c
		}
		out(line)
	}
	function out(what) { printf "%*s%s\n", 2 * depth, "", what; line = "" }'
}

millis() { echo $(($(date +%s%N) / 1000000)); }

# alive NAME: whether a process of ours runs. Its number alone may be somebody else's after a restart of the machine.
alive() { [ -f "$NET/pids/$1" ] && tr '\0' ' ' 2>/dev/null <"/proc/$(cat "$NET/pids/$1")/cmdline" | grep -q -e "$SLNODE" -e "$DEVCHAIN" -e testnet.sh; }

# launch NAME COMMAND...: a process of ours, with its pid and its log.
launch() {
	local name=$1
	shift
	setsid "$@" >>"$NET/logs/$name.log" 2>&1 </dev/null &
	echo $! >"$NET/pids/$name"
}

# stop NAME [SIGNAL]: ends a process of ours and waits for its end.
stop() {
	alive "$1" || return 0
	local pid
	pid=$(cat "$NET/pids/$1")
	kill "-${2:-TERM}" "$pid"
	for _ in $(seq 100); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	if kill -0 "$pid" 2>/dev/null; then kill -KILL "$pid"; fi
	rm -f "$NET/pids/$1"
}

# ours: SL_TESTNET may name any directory, and a testnet's is deleted.
ours() {
	[ -d "$NET/pids" ] || [ -z "$(ls -A "$NET")" ] || { say "testnet: $NET is not empty, and not the directory of a testnet" >&2; exit 1; }
}

stop_all() {
	local file
	for file in "$NET"/pids/*; do
		[ -e "$file" ] && stop "$(basename "$file")"
	done
	return 0
}

# fail WHAT LOG: says what went wrong and where to look, and leaves nothing behind.
fail() {
	trap - EXIT
	say "" >&2
	say "testnet: $1" >&2
	if [ -n "${2:-}" ] && [ -s "$2" ]; then
		say "the end of $2:" >&2
		tail -n 15 "$2" | sed 's/^/    /' >&2
	fi
	[ "${KEEP:-}" ] || stop_all
	exit 1
}

# must WHAT LOG COMMAND...: runs a command that has to succeed; its output goes to LOG.
must() {
	local what=$1 log=$2
	shift 2
	"$@" >>"$log" 2>&1 || fail "$what failed" "$log"
}

build() {
	[ -x "$SLNODE" ] && [ -x "$DEVCHAIN" ] && return
	step "building"
	make build || fail "the build failed"
}

password() { LC_ALL=C tr -dc 'a-zA-Z0-9' </dev/urandom 2>/dev/null | head -c 20 || true; }

# load: what is up, from the env file.
load() {
	[ -f "$NET/env" ] || { say "testnet: nothing is up; see scripts/testnet.sh up" >&2; exit 1; }
	# shellcheck disable=SC1091
	. "$NET/env"
}

var() { local name="SL_$1_$2"; printf '%s' "${!name:-}"; }

write_env() {
	{
		echo "SL_NODES=$SL_NODES"
		local n key
		for n in $(seq "$SL_NODES"); do
			for key in ORG URL USER PASSWORD COLLECTION REPO PID GATEWAY; do
				printf 'SL_%s_%s=%q\n' "$n" "$key" "$(var "$n" "$key")"
			done
		done
		for key in ALGOD_URL ALGOD_TOKEN INDEXER_URL INDEXER_TOKEN CONTROL_URL FUNDER_FILE ALGO; do
			local name="SL_$key"
			printf 'SL_%s=%q\n' "$key" "${!name:-}"
		done
	} >"$NET/env.new"
	mv "$NET/env.new" "$NET/env"
	chmod 600 "$NET/env"
}

start_chain() {
	local log=$NET/logs/chain.log
	launch chain "$DEVCHAIN" serve --dir "$NET/chain" --algod 127.0.0.1:0 --indexer 127.0.0.1:0 --control 127.0.0.1:0 \
		--round-time "$ROUND_TIME" --ready-file "$NET/chain.ready"
	for _ in $(seq 200); do
		[ -f "$NET/chain.ready" ] && break
		alive chain || fail "the development chain did not start" "$log"
		sleep 0.05
	done
	[ -f "$NET/chain.ready" ] || fail "the development chain did not start in 10 s" "$log"
	# shellcheck disable=SC1091
	. "$NET/chain.ready"
	SL_INDEXER_TOKEN=
}

# make_node N ORG: a repository with funds.
make_node() {
	local n=$1 org=$2 repo=$NET/$2 log=$NET/logs/$2.log account
	must "initialising $org" "$log" "$SLNODE" --repo "$repo" init --org "$org" --title "${org^} CERT" \
		--taxii-listen 127.0.0.1:0 --gateway 127.0.0.1:0 --ipfs-listen /ip4/127.0.0.1/tcp/0 \
		--algod "$SL_ALGOD_URL" --algod-token "$SL_ALGOD_TOKEN" --indexer "$SL_INDEXER_URL" --indexer-token "$SL_INDEXER_TOKEN"
	printf -v "SL_${n}_ORG" '%s' "$org"
	printf -v "SL_${n}_REPO" '%s' "$(realpath "$repo")"
	pay "$n" "$SL_ALGO"
	printf -v "SL_${n}_USER" '%s' admin
	printf -v "SL_${n}_PASSWORD" '%s' "$(password)"
	say "  $org has the account $account"
}

# pay N ALGO: sends ALGO to an organisation, whose account is then in $account.
pay() {
	local org log
	org=$(var "$1" ORG)
	log=$NET/logs/$org.log
	account=$("$SLNODE" --repo "$(var "$1" REPO)" wallet --json 2>>"$log" | field account) || fail "algod can't be asked for the balance of $org" "$log"
	must "funding $org" "$log" "$DEVCHAIN" fund --algod "$SL_ALGOD_URL" --algod-token "$SL_ALGOD_TOKEN" \
		--funder-file "$SL_FUNDER_FILE" --to "$account" --algo "$2"
}

# start_node N: the daemon of an organisation, until it answers.
start_node() {
	local n=$1 org repo log
	org=$(var "$n" ORG) repo=$(var "$n" REPO)
	log=$NET/logs/$org.log
	rm -f "$repo/daemon.json"
	launch "$org" "$SLNODE" --repo "$repo" daemon
	for _ in $(seq 300); do
		[ -f "$repo/daemon.json" ] && break
		alive "$org" || fail "the daemon of $org did not start" "$log"
		sleep 0.05
	done
	[ -f "$repo/daemon.json" ] || fail "the daemon of $org did not start in 15 s" "$log"
	printf -v "SL_${n}_URL" 'http://%s' "$(field taxii <"$repo/daemon.json")"
	printf -v "SL_${n}_GATEWAY" 'http://%s' "$(field gateway <"$repo/daemon.json")"
	printf -v "SL_${n}_PID" '%s' "$(cat "$NET/pids/$org")"
}

# sign_up N: the first account of a node.
sign_up() {
	local n=$1 log
	log=$NET/logs/$(var "$n" ORG).log
	curl -sS --fail-with-body -o "$NET/answer" -H 'Content-Type: application/json' "$(var "$n" URL)/v1/signup/admin" -d @- <<JSON ||
{"org_name": "$(var "$n" ORG)", "username": "$(var "$n" USER)", "password": "$(var "$n" PASSWORD)"}
JSON
		fail "signing up at $(var "$n" ORG) failed: $(cat "$NET/answer")" "$log"
}

# taxii N PATH [CURL OPTIONS]: a request with the node's credentials, which don't show in the list of processes.
taxii() {
	local n=$1 path=$2
	shift 2
	curl -sSg -K - "$@" "$(var "$n" URL)$path" <<CURL
user = "$(var "$n" USER):$(var "$n" PASSWORD)"
CURL
}

# admit N: organisation N asks, the first one admits, N joins.
admit() {
	local n=$1 org repo log
	org=$(var "$n" ORG) repo=$(var "$n" REPO)
	log=$NET/logs/$org.log
	must "the request of $org" "$log" "$SLNODE" --repo "$repo" member request -o "$NET/$org.request"
	must "admitting $org" "$NET/logs/$(var 1 ORG).log" "$SLNODE" --repo "$(var 1 REPO)" member admit "$NET/$org.request" -o "$NET/$org.invite"
	must "joining as $org" "$log" "$SLNODE" --repo "$repo" join "$NET/$org.invite"
	say "  $org is admitted and has joined"
}

# await_collection N: until a newcomer has the keys of the default collection.
await_collection() {
	local n=$1 id=
	for _ in $(seq 600); do
		id=$("$SLNODE" --repo "$(var "$n" REPO)" consortium show --json 2>/dev/null |
			sed -n 's/.*"id":"\([0-9a-f-]*\)","alias":"default".*"can_write":true.*/\1/p')
		[ -n "$id" ] && break
		sleep 0.1
	done
	[ -n "$id" ] || fail "$(var "$n" ORG) did not get the keys of the default collection in a minute" "$NET/logs/$(var "$n" ORG).log"
	printf -v "SL_${n}_COLLECTION" '%s' "$id"
}

up() {
	local nodes=3 algod= n
	ROUND_TIME=0s SL_ALGO='' SL_ALGOD_URL='' SL_ALGOD_TOKEN='' SL_INDEXER_URL='' SL_INDEXER_TOKEN='' SL_FUNDER_FILE='' SL_CONTROL_URL=''
	while [ $# -gt 0 ]; do
		[ $# -ge 2 ] || { usage >&2; exit 2; }
		case $1 in
		--nodes) nodes=$2 ;;
		--round-time) ROUND_TIME=$2 ;;
		--algod) SL_ALGOD_URL=$2 algod=1 ;;
		--algod-token) SL_ALGOD_TOKEN=$2 ;;
		--indexer) SL_INDEXER_URL=$2 ;;
		--indexer-token) SL_INDEXER_TOKEN=$2 ;;
		--funder-file) SL_FUNDER_FILE=$2 ;;
		--algo) SL_ALGO=$2 ;;
		*) usage >&2; exit 2 ;;
		esac
		shift 2
	done
	[[ $nodes =~ ^[1-9][0-9]?$ ]] || { say "testnet: --nodes $nodes is not a number from 1 to 99" >&2; exit 2; }
	if [ -n "$algod" ] && { [ -z "$SL_INDEXER_URL" ] || [ ! -r "$SL_FUNDER_FILE" ]; }; then
		say "testnet: --algod needs --indexer and a readable --funder-file" >&2
		exit 2
	fi
	if [ -z "$SL_ALGO" ]; then [ -n "$algod" ] && SL_ALGO=10 || SL_ALGO=10000; fi
	if [ -d "$NET" ]; then
		ours
		for n in "$NET"/pids/*; do
			[ -e "$n" ] && alive "$(basename "$n")" && { say "testnet: it is up already; scripts/testnet.sh down ends it" >&2; exit 1; }
		done
		rm -rf "$NET"
	fi
	build
	mkdir -p "$NET/pids" "$NET/logs"
	chmod 700 "$NET"
	trap 'fail "interrupted or failed; the logs are in $NET/logs"' EXIT INT TERM

	if [ -z "$algod" ]; then
		step "starting a development chain"
		start_chain
		say "  algod $SL_ALGOD_URL, indexer $SL_INDEXER_URL"
	fi
	SL_NODES=$nodes
	step "initialising $nodes organisations"
	for n in $(seq "$nodes"); do make_node "$n" "${NAMES[$((n - 1))]:-org$n}"; done

	step "founding the consortium"
	must "founding the consortium" "$NET/logs/$(var 1 ORG).log" "$SLNODE" --repo "$(var 1 REPO)" consortium create --name "Testnet"
	start_node 1
	say "  $(var 1 ORG) has founded it, and is its governor"
	for n in $(seq 2 "$nodes"); do
		admit "$n"
		start_node "$n"
	done
	for n in $(seq "$nodes"); do
		sign_up "$n"
		await_collection "$n"
	done
	write_env
	demonstrate
	trap - EXIT INT TERM
	table
}

# demonstrate: a bundle is posted at the first organisation and read at every other.
demonstrate() {
	local root collection token status begun n org id txid asset cid
	root=$(var 1 ORG) collection=$(var 1 COLLECTION)
	step "$root publishes a bundle: an identity, a TLP marking, an indicator"
	token=$(curl -sS -H 'Content-Type: application/json' "$(var 1 URL)/v1/login" -d @- <<JSON | field sl_token
{"username": "$(var 1 USER)", "password": "$(var 1 PASSWORD)"}
JSON
	)
	[ -n "$token" ] || fail "logging in at $root failed" "$NET/logs/$root.log"
	begun=$(millis)
	status=$(curl -sS -K - -H 'Content-Type: application/taxii+json;version=2.1' --data-binary "@$SAMPLE" \
		"$(var 1 URL)/$root/collections/$collection/objects/" <<<"header = \"Authorization: Bearer $token\"")
	for _ in $(seq 600); do
		[ "$(field status <<<"$status")" = complete ] && break
		[ -n "$(field status <<<"$status")" ] || fail "posting failed: $status" "$NET/logs/$root.log"
		sleep 0.1
		status=$(taxii 1 "/$root/status/$(field id <<<"${status%%,*}")/") # its own id comes first
	done
	say "the answer after $(($(millis) - begun)) ms; the message of each object is its transaction on Algorand:"
	pretty <<<"$status"
	[ "$(field failure_count <<<"$status")" = 0 ] || fail "objects were refused" "$NET/logs/$root.log"

	id=$(sed -n 's/.*"\(indicator--[0-9a-f-]*\)".*/\1/p' "$SAMPLE" | head -n 1)
	txid=$(sed -n "s/.*\"$id\",[^}]*\"x_slnode_txid\":\"\([A-Z0-9]*\)\".*/\1/p" <<<"$status")
	asset=$(sed -n "s/.*\"$id\",[^}]*\"x_slnode_asset_id\":\([0-9]*\).*/\1/p" <<<"$status")
	cid=$(sed -n "s/.*\"$id\",[^}]*\"x_slnode_cid\":\"\([a-z0-9]*\)\".*/\1/p" <<<"$status")
	for n in $(seq 2 "$SL_NODES"); do
		org=$(var "$n" ORG)
		for _ in $(seq 1200); do
			taxii "$n" "/$org/collections/$collection/objects/?match[id]=$id" -o "$NET/answer"
			grep -q "$id" "$NET/answer" && break
			sleep 0.05
		done
		grep -q "$id" "$NET/answer" || fail "$org did not show the indicator in a minute" "$NET/logs/$org.log"
		say "$org shows the indicator $(($(millis) - begun)) ms after it was posted"
	done

	step "its NFT (transaction $txid)"
	for _ in $(seq 100); do
		curl -sS -H "X-Indexer-API-Token: $SL_INDEXER_TOKEN" "$SL_INDEXER_URL/v2/assets/$asset" -o "$NET/answer" && grep -q '"index"' "$NET/answer" && break
		sleep 0.1
	done
	say "    asset    $asset, made in round $(field created-at-round <"$NET/answer")"
	say "    creator  $(field creator <"$NET/answer")"
	say "    name     $(field name <"$NET/answer") ($(field unit-name <"$NET/answer"))"
	say "    url      $(field url <"$NET/answer")"
	step "the directory behind its CID, at $root's gateway"
	say "  metadata.json"
	curl -sS "$(var 1 GATEWAY)/ipfs/$cid/metadata.json" | pretty
	say "  object.json"
	curl -sS "$(var 1 GATEWAY)/ipfs/$cid/object.json" | cut -c 1-120 | sed 's/^/    /; s/$/…/'
	if [ "$SL_NODES" -gt 1 ]; then
		org=$(var 2 ORG)
		step "the object as it is read at $org, over TAXII"
		taxii 2 "/$org/collections/$collection/objects/?match[id]=$id" | pretty
		step "the evidence, at $org (slnode verify)"
		"$SLNODE" --repo "$(var 2 REPO)" verify "$id" | sed 's/^/    /' || fail "the verification failed" "$NET/logs/$org.log"
	fi
}

table() {
	step "the consortium is up"
	printf '%-3s %-10s %-24s %-7s %-22s %s\n' '#' organisation TAXII user password gateway
	local n
	for n in $(seq "$SL_NODES"); do
		printf '%-3s %-12s %-24s %-7s %-22s %s\n' "$n" "$(var "$n" ORG)" "$(var "$n" URL)" "$(var "$n" USER)" "$(var "$n" PASSWORD)" "$(var "$n" GATEWAY)"
	done
	local first
	first=$(var 1 ORG)
	cat <<NEXT

The same is in $NET/env. Try next:

  . $NET/env
  curl -u \$SL_1_USER:\$SL_1_PASSWORD \$SL_1_URL/taxii2/
  curl -u \$SL_1_USER:\$SL_1_PASSWORD \$SL_1_URL/\$SL_1_ORG/collections/
  curl -u \$SL_1_USER:\$SL_1_PASSWORD -H 'Content-Type: application/taxii+json;version=2.1' \\
       --data-binary @your-bundle.json \$SL_1_URL/\$SL_1_ORG/collections/\$SL_1_COLLECTION/objects/
  curl -g -u \$SL_2_USER:\$SL_2_PASSWORD "\$SL_2_URL/\$SL_2_ORG/collections/\$SL_2_COLLECTION/objects/?match[type]=indicator"
  $SLNODE --repo $NET/$first status
  scripts/testnet.sh kill 2; scripts/testnet.sh restart 2; scripts/testnet.sh down
NEXT
}

status() {
	load
	local n org
	if [ -n "$SL_CONTROL_URL" ]; then say "chain: $(alive chain && echo "runs, algod $SL_ALGOD_URL, indexer $SL_INDEXER_URL" || echo 'does not run')"; fi
	for n in $(seq "$SL_NODES"); do
		org=$(var "$n" ORG)
		say ""
		if alive "$org"; then
			say "$n  $org  runs (pid $(cat "$NET/pids/$org")), $(var "$n" URL)"
			"$SLNODE" --repo "$(var "$n" REPO)" status 2>&1 | sed 's/^/   /'
		else
			say "$n  $org  does not run"
		fi
	done
}

logs() {
	load
	local n
	for n in ${1:-$(seq "$SL_NODES")}; do
		check_number "$n"
		say "== $NET/logs/$(var "$n" ORG).log"
		tail -n 40 "$NET/logs/$(var "$n" ORG).log"
	done
}

check_number() {
	[[ ${1:-} =~ ^[0-9]+$ ]] && [ "$1" -ge 1 ] && [ "$1" -le "$SL_NODES" ] || { say "testnet: '${1:-}' is not a number from 1 to $SL_NODES" >&2; exit 2; }
}

restart() {
	load
	check_number "${1:-}"
	stop "$(var "$1" ORG)"
	KEEP=1
	start_node "$1"
	write_env
	say "$(var "$1" ORG) runs again: $(var "$1" URL)"
}

kill_node() {
	load
	check_number "${1:-}"
	stop "$(var "$1" ORG)" KILL
	say "$(var "$1" ORG) was ended with SIGKILL"
}

fund() {
	load
	check_number "${1:-}"
	KEEP=1
	local account
	pay "$1" "${2:-$SL_ALGO}"
	"$SLNODE" --repo "$(var "$1" REPO)" wallet
}

add() {
	load
	[ -n "${1:-}" ] || { usage >&2; exit 2; }
	[ ! -e "$NET/$1" ] || { say "testnet: the name $1 is taken" >&2; exit 2; }
	KEEP=1
	SL_NODES=$((SL_NODES + 1))
	make_node "$SL_NODES" "$1"
	admit "$SL_NODES"
	start_node "$SL_NODES"
	sign_up "$SL_NODES"
	await_collection "$SL_NODES"
	write_env
	table
}

down() {
	[ -d "$NET" ] || return 0
	ours
	stop_all
	rm -rf "$NET"
	say "everything is stopped and deleted"
}

demo() {
	[ "${1:-}" = sharing ] || { usage >&2; exit 2; }
	[ -f "$NET/env" ] || up
	KEEP=1
	# shellcheck source=scripts/sharing.sh
	. scripts/sharing.sh
	scenario_sharing
}

command=${1:-}
[ $# -gt 0 ] && shift
case $command in
up) up "$@" ;;
down) down ;;
status) status ;;
logs) logs "$@" ;;
restart) restart "$@" ;;
kill) kill_node "$@" ;;
fund) fund "$@" ;;
add) add "$@" ;;
demo) demo "$@" ;;
*) usage; [ "$command" = help ] || [ "$command" = --help ] || exit 2 ;;
esac
