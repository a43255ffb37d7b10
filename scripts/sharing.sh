# The scenario "sharing": who sees what, while a collection is made, granted late, revoked and an object withdrawn.
# Sourced by testnet.sh, whose functions it uses.

# seen N COLLECTION: the names of the objects that organisation N can read in a collection of the first one. To who
# can't read it, the collection does not exist.
seen() {
	{ "$SLNODE" --repo "$(var "$1" REPO)" list --root "$(var 1 ORG)" --collection "$2" --json 2>/dev/null || true; } |
		tr '{' '\n' | sed -n 's/.*"name":"\([^"]*\)".*/\1/p' | sort | paste -sd ',' | sed 's/,/, /g'
}

# everybody COLLECTION WANT...: waits until each organisation sees what it should, and shows it.
everybody() {
	local collection=$1 n=0 want now
	shift
	for want in "$@"; do
		n=$((n + 1)) now=
		for _ in $(seq 600); do
			now=$(seen "$n" "$collection")
			[ "$now" = "$want" ] && break
			sleep 0.1
		done
		[ "$now" = "$want" ] || fail "$(var "$n" ORG) sees \"$now\", not \"$want\"" "$NET/logs/$(var "$n" ORG).log"
		printf '    %-8s sees  %s\n' "$(var "$n" ORG)" "${now:-nothing}"
	done
}

# owner COMMAND...: a command of the first organisation.
owner() { "$SLNODE" --repo "$(var 1 REPO)" "$@" 2>>"$NET/logs/scenario.log" || fail "slnode $* failed" "$NET/logs/scenario.log"; }

# announce NAME COLLECTION: publishes an indicator, and prints its id.
announce() {
	local id
	id=indicator--$(cat /proc/sys/kernel/random/uuid)
	cat >"$NET/object.json" <<JSON
{"type": "indicator", "spec_version": "2.1", "id": "$id", "created": "2026-03-01T09:00:00.000Z", "modified": "2026-03-01T09:00:00.000Z",
 "name": "$1", "pattern": "[domain-name:value = '$1.example']", "pattern_type": "stix", "valid_from": "2026-03-01T09:00:00Z"}
JSON
	owner publish "$NET/object.json" --collection "$2" >/dev/null
	printf '%s' "$id"
}

scenario_sharing() {
	load
	[ "$SL_NODES" -ge 3 ] || fail "the scenario needs three organisations"
	local a b c group first
	a=$(var 1 ORG) b=$(var 2 ORG) c=$(var 3 ORG)
	step "$a makes a collection that $b may read, and publishes \"early\""
	group=$(owner collection create "Ransomware working group" --readers "$b" --default-level amber --json | field id)
	first=$(announce early "$group")
	everybody "$group" early early ''
	step "$a lets $c read it, too, with everything that was published before: no object is sealed or minted again"
	owner collection grant "$group" "$c" --from all | sed 's/^/    /'
	everybody "$group" early early early
	step "$a takes $b out and publishes \"late\": the collection has a new key, which $b is not given"
	owner collection revoke "$group" "$b" | sed 's/^/    /'
	announce late "$group" >/dev/null
	everybody "$group" 'early, late' early 'early, late'
	step "$a withdraws \"early\": its NFT is destroyed, its 0.1 ALGO is free again"
	owner withdraw "$first" | sed 's/^/    /'
	everybody "$group" late '' late
	step "who has acknowledged that"
	for _ in $(seq 100); do
		owner show "$first" >"$NET/answer"
		grep -q 'has not' "$NET/answer" || break
		sleep 0.1
	done
	sed 's/^/    /' "$NET/answer"
}
