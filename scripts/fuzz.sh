#!/usr/bin/env bash
# Fuzzes every target for an equal share of a time, a minute unless it is told another: scripts/fuzz.sh [SECONDS [PATTERN]].
# What it finds is written to the package's testdata/fuzz, and is a test from then on.
#
# Only our own packages are compiled for fuzzing: with "go test -fuzz" all of Kubo would be, which takes longer than the
# rest. Inputs are not minimized, which would take the whole time of targets with large ones.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60} pattern=${2:-.}
export CGO_ENABLED=0

# Fewer executions than this, and a target is as good as not fuzzed.
least=100

mapfile -t targets < <(grep -rn --include='*_test.go' -oE '^func Fuzz[A-Za-z0-9_]+' . | sed -E 's|^\./(.*)/[^/]+:[0-9]+:func (.*)|\1 \2|' | grep -E "$pattern" | sort)
[ ${#targets[@]} -gt 0 ] || { echo "there is no fuzz target like $pattern" >&2; exit 2; }
each=$((seconds * 1000 / ${#targets[@]}))
[ "$each" -ge 1000 ] || each=1000

# endedByTime: Go's fuzzer now and then takes the end of its time for a failure; a real one names an input.
endedByTime() { grep -q '^    context deadline exceeded$' "$work/out" && ! grep -qE 'Failing input|panic:' "$work/out"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0 built=
for target in "${targets[@]}"; do
	read -r package name <<<"$target"
	if [ "$package" != "$built" ]; then
		go test -c -gcflags='github.com/serviceledger/slnode/...=-d=libfuzzer' -o "$work/fuzz.test" "./$package"
		built=$package
	fi
	# A busy machine may leave a target no time at all: it gets more then.
	for time in "$each" 20000 90000; do
		ended=true executions=0
		(cd "$package" && timeout 180 "$work/fuzz.test" -test.run '^$' -test.fuzz "^$name\$" -test.fuzztime "${time}ms" \
			-test.fuzzminimizetime 1x -test.fuzzcachedir "$work/cache/$package") >"$work/out" 2>&1 || endedByTime || ended=false
		executions=$(sed -nE 's/.* execs: ([0-9]+) .*/\1/p' "$work/out" | tail -1)
		$ended && [ "${executions:-0}" -lt $least ] || break
	done
	if ! $ended; then
		echo "FAIL $package $name"
		cat "$work/out"
		failed=1
		continue
	fi
	printf '%8d executions, %7d/s  %s %s\n' "${executions:-0}" $((${executions:-0} * 1000 / time)) "$package" "$name"
	if [ "${executions:-0}" -lt $least ]; then
		echo "FAIL $package $name: fewer than $least executions"
		failed=1
	fi
done
exit $failed
