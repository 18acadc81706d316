#!/usr/bin/env bash
# How long two nodes on one LAN need to find each other, in milliseconds.
#
# Two network namespaces joined by a veth pair. In each try node A starts, node B follows 0 to 1.5 s
# later (in that span lies the worst case: A has just announced itself and may not repeat it for a
# second), and the figure is the time from B's start until both have seen the other.
#
# usage: bench/discovery.sh [TRIES]      prints {"tries","p50_ms","p95_ms","max_ms"}; needs root
# DISCOVER=path/to/discover uses a program built already.
set -euo pipefail
cd "$(dirname "$0")/.."
tries=${1:-20}

if [ "$(id -u)" != 0 ] || ! command -v ip >/dev/null; then
    echo "bench/discovery.sh: SKIPPED, network namespaces need root and iproute2" >&2
    exit 0
fi
if [ -z "${DISCOVER:-}" ]; then
    cargo build --quiet -p covey-net --example discover
    DISCOVER=${CARGO_TARGET_DIR:-target}/debug/examples/discover
fi

a=covey-bench-a-$$ b=covey-bench-b-$$ work=$(mktemp -d)
cleanup() { ip netns del "$a" 2>/dev/null || true; ip netns del "$b" 2>/dev/null || true; rm -rf "$work"; }
trap cleanup EXIT
ip netns add "$a"
ip netns add "$b"
ip link add eth0 netns "$a" type veth peer name eth0 netns "$b"
ip -n "$a" addr add 10.77.0.1/24 dev eth0
ip -n "$b" addr add 10.77.0.2/24 dev eth0
for ns in "$a" "$b"; do
    ip -n "$ns" link set lo up
    ip -n "$ns" link set eth0 up
done
sleep 2 # until the kernel reports the link as running

for try in $(seq "$tries"); do
    # Each node runs until its standard input ends.
    sleep 4 | ip netns exec "$a" "$DISCOVER" >"$work/a.$try" 2>"$work/a.err" &
    offset=$((RANDOM % 1500))
    sleep "$((offset / 1000)).$(printf %03d $((offset % 1000)))"
    sleep 1.5 | ip netns exec "$b" "$DISCOVER" >"$work/b.$try" 2>"$work/b.err" &
    wait
done

python3 - "$work" "$tries" <<'PY'
import json, math, sys
work, tries = sys.argv[1], int(sys.argv[2])
figures = []
for n in range(1, tries + 1):
    nodes = {side: [json.loads(line) for line in open(f"{work}/{side}.{n}")] for side in "ab"}
    names = {side: next(e["device"] for e in events if e["event"] == "started") for side, events in nodes.items()}
    start = next(e["at_ms"] for e in nodes["b"] if e["event"] == "started")
    def seen(side, other):
        found = [e["at_ms"] for e in nodes[side] if e["event"] == "discovered" and e["device"] == names[other]]
        return found[0] - start if found else math.inf
    figures.append(max(seen("a", "b"), seen("b", "a")))
    print(f"try {n}: a saw b after {seen('a', 'b'):.1f} ms, b saw a after {seen('b', 'a'):.1f} ms", file=sys.stderr)
figures.sort()
at = lambda share: round(figures[max(0, math.ceil(share * len(figures)) - 1)], 1)
print(json.dumps({"tries": tries, "p50_ms": at(0.5), "p95_ms": at(0.95), "max_ms": at(1.0)}))
PY
