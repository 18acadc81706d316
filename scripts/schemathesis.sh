#!/usr/bin/env bash
# Asks a real node whatever its OpenAPI document allows, and what it doesn't, with schemathesis: no failure of the node, no answer
# that the document doesn't name, no schema that isn't kept, nothing accepted that isn't valid.
#
#   scripts/schemathesis.sh [path-to-covey] [arguments for `schemathesis run`]      (default: target/debug/covey)
#
# The node has a temporary home, listens on loopback only, and meets no network. It takes some minutes. What is asked for stands
# in scripts/schemathesis.toml.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VERSION=4.32.5
# Requests of one kind for each operation.
EXAMPLES=${EXAMPLES:-50}

covey=${CARGO_TARGET_DIR:-target}/debug/covey
if [ $# -gt 0 ] && [ -x "$1" ]; then covey=$1 && shift; fi
[ -x "$covey" ] || { echo "schemathesis: there is no $covey; run cargo build --package covey first" >&2; exit 1; }
covey=$(realpath "$covey")

tools=${XDG_CACHE_HOME:-$HOME/.cache}/covey/schemathesis
if [ "$("$tools/bin/schemathesis" --version 2>/dev/null)" != "schemathesis, version $VERSION" ] \
    && [ "$("$tools/bin/st" --version 2>/dev/null)" != "st, version $VERSION" ]; then
    echo "schemathesis: installing version $VERSION into $tools" >&2
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet "schemathesis==$VERSION"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/covey-schemathesis.XXXXXX")
node=
cleanup() {
    if [ -n "$node" ]; then kill "$node" 2>/dev/null && wait "$node" 2>/dev/null; fi
    rm -rf "$work"
}
trap cleanup EXIT

export COVEY_HOME=$work/home
mkfifo "$work/ready"
"$covey" --json up --network solo --api 127.0.0.1:0 --name Ada --device laptop >"$work/ready" 2>"$work/log" &
node=$!
# The first line says that it is there; whatever comes later is read, so that the node isn't held up.
exec 3<"$work/ready"
IFS= read -r -t 60 -u 3 _ || { echo "schemathesis: the node did not start:" >&2; cat "$work/log" >&2; exit 1; }
cat <&3 >/dev/null &

"$covey" --quiet space create garden >/dev/null
"$covey" --quiet record put garden plants --id fern '{"n": 1}' >/dev/null
"$covey" --quiet channel create garden tea >/dev/null
message=$("$covey" --json chat send garden tea "Who wants tea?" | python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])')
field() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$COVEY_HOME/api.json" "$1"; }
api=$(field api)
token=$(field token)

run() {
    "$tools/bin/st" --config-file "$1" run "$api/api/v1/openapi.json" --url "$api" \
        --header "Authorization: Bearer $token" --max-examples "$EXAMPLES" --continue-on-failure --no-color "${@:2}"
}
sed "s|HOOKS|$PWD/scripts/schemathesis_hooks.py|; s|MESSAGE|$message|" scripts/schemathesis.toml >"$work/known.toml"
# The same without the names of what is there.
sed '/^"path\./d; s/^parameters = .*/enabled = true/' "$work/known.toml" >"$work/anything.toml"
cd "$work"
failed=0
echo "schemathesis: with names of what is there" >&2
run "$work/known.toml" "$@" || failed=1
echo "schemathesis: with names of anything" >&2
run "$work/anything.toml" "$@" || failed=1
kill -0 "$node" 2>/dev/null || { echo "schemathesis: the node is gone:" >&2; cat "$work/log" >&2; failed=1; }
if grep -i 'panicked\|failed inside' "$work/log" >&2; then failed=1; fi
exit "$failed"
