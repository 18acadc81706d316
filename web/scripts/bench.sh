#!/usr/bin/env bash
# What the first load of the page weighs, and how long people wait for it: one line of JSON on stdout, everything else on stderr.
# The page is the one that the node serves, on loopback, each time in a browser that has nothing of it yet.
#
#   web/scripts/bench.sh       CHROMIUM=/path COVEY_BIN=/path COVEY_BENCH_LOADS=20 COVEY_BENCH_MESSAGES=100000
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export COVEY_BIN="${COVEY_BIN:-${CARGO_TARGET_DIR:-$PWD/../target}/release/covey}"

skip() {
    printf '{"skipped":"%s"}\n' "$1"
    exit 0
}

[ -x "${CHROMIUM:-/usr/bin/chromium}" ] || skip "there is no Chromium (Debian's package chromium, or CHROMIUM=/path)"
[ -x "$COVEY_BIN" ] || skip "there is no node to measure (make build, or COVEY_BIN=/path)"
[ -f dist/index.html ] || skip "the app is not built (make web)"
[ -x node_modules/.bin/vitest ] || skip "the app's packages are not installed (make web)"
COVEY_BENCH_OUT=$(mktemp)
export COVEY_BENCH_OUT
trap 'rm -f "$COVEY_BENCH_OUT"' EXIT
node_modules/.bin/vitest run --project bench >&2
cat "$COVEY_BENCH_OUT"
