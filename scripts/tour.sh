#!/usr/bin/env bash
# The tour of README.md, typed by a machine: two machines, `ada` and `bob`, on one LAN without internet.
# Prints each command after a prompt that says whose machine it is, and what it really printed, so that
# the text in README.md can be checked against it. Needs root, for network namespaces; makes its own and
# removes them. Ids, codes, ports and times differ from run to run.
#
#   scripts/tour.sh [path-to-covey]      (default: target/release/covey)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

covey=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/release/covey}")
[ -x "$covey" ] || { echo "tour: there is no $covey; run make build first" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "tour: network namespaces need root" >&2; exit 1; }
name=$(basename "$covey")
[ "$name" = covey ] || { echo "tour: the command has to be called covey, not $name" >&2; exit 1; }

# What an older binary prints is not what the sources do.
newer=$(find crates Cargo.toml Cargo.lock -name '*.rs' -newer "$covey" -print -quit -o -name 'Cargo.*' -newer "$covey" -print -quit)
[ -z "$newer" ] || { echo "tour: $covey is older than $newer; run make build first" >&2; exit 1; }

# How long anything may take before the tour gives up; on an idle machine nothing takes more than two.
PATIENCE_S=30
# A person takes this long from one command to the next, or thereabouts; it shows in the times printed.
BREATH_S=2
work=$(mktemp -d /tmp/covey-tour.XXXXXX)
lan=covey-lan-$$
declare -A node=() # machine -> process id of its node

cleanup() {
    local pid machine
    for pid in $(jobs -p); do
        kill -KILL "$pid" && wait "$pid" || true
    done 2>/dev/null
    for machine in "covey-ada-$$" "covey-bob-$$" "$lan"; do ip netns del "$machine" 2>/dev/null || true; done
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# The LAN is a bridge in a namespace of its own: nothing reaches the machine's real network.
ip netns add "$lan"
ip -n "$lan" link add lan type bridge
ip -n "$lan" link set lan up
address=10
for machine in ada bob; do
    space=covey-$machine-$$
    ip netns add "$space"
    ip -n "$space" link add eth0 type veth peer name "$machine" netns "$lan"
    ip -n "$lan" link set "$machine" master lan up
    ip -n "$space" addr add "192.168.7.$address/24" dev eth0
    ip -n "$space" link set lo up
    ip -n "$space" link set eth0 up
    # mDNS is multicast; on a LAN that is part of the default route.
    ip -n "$space" route add default via 192.168.7.1
    mkdir -p "$work/$machine"
    address=$((address + 1))
done

# on MACHINE LINE: becomes a shell of that machine's user in this folder, and runs the line.
on() {
    local machine=$1
    # shellcheck disable=SC2016 # expanded by the inner shell
    exec env -i PATH="${covey%/*}:$PATH" HOME="$work/$machine" USER="$machine" LANG=C.UTF-8 \
        ip netns exec "covey-$machine-$$" unshare --uts \
        bash -c 'hostname "$0-laptop"; eval "$1"' "$machine" "$2"
}
run() { # run MACHINE LINE: types it, waits, shows what it prints
    sleep "$BREATH_S"
    printf '\n%s$ %s\n' "$1" "$2"
    (on "$1" "$2") 2>&1 | tee "$work/last"
}
start() { # start MACHINE LINE FILE READY: types it, and shows what it printed once READY stands there
    printf '\n%s$ %s\n' "$1" "$2"
    : >"$3"
    (on "$1" "exec $2") >"$3" 2>&1 &
    node[$1]=$!
    until_says "$3" "$4"
    cat "$3"
}
until_says() { # until_says FILE TEXT
    local waited
    for ((waited = 0; waited < PATIENCE_S * 20; waited++)); do
        grep -q -- "$2" "$1" && return 0
        sleep 0.05
    done
    echo "tour: waited $PATIENCE_S s for \"$2\"; there is only:" >&2
    cat "$1" >&2
    exit 1
}
until_prints() { # until_prints MACHINE LINE TEXT: asks again and again, silently
    local waited
    for ((waited = 0; waited < PATIENCE_S * 5; waited++)); do
        (on "$1" "$2") >"$work/asked" 2>&1 || true
        grep -q -- "$3" "$work/asked" && return 0
        sleep 0.2
    done
    echo "tour: waited $PATIENCE_S s for \"$3\" from $2; there is only:" >&2
    cat "$work/asked" >&2
    exit 1
}

stop() { # stop MACHINE FILE: Ctrl-C in the node's terminal
    kill -INT "${node[$1]}"
    wait "${node[$1]}" || true
    printf '\n%s  (Ctrl-C in the terminal of the node)\n' "$1"
    sed -n '/^Stopping/,$p' "$2"
}

start ada 'covey up' "$work/ada.up" '^Ctrl-C stops'
run ada 'covey space create garden'
run ada 'covey record import garden plants examples/plants.ndjson'
run ada 'covey invite garden'
code=$(grep -o 'COVEY-[0-9A-Z]\{4\}-[0-9A-Z]\{4\}' "$work/last" | head -n 1)

start bob 'covey up' "$work/bob.up" '^Ctrl-C stops'
run bob "covey join $code"
run bob 'covey record list garden plants'

# A watch is a terminal of its own. What it printed is shown after the changes that it saw.
(on ada 'exec covey record watch garden plants') >"$work/ada.watch" 2>&1 &
watch=$!
sleep 1 # a watch prints nothing until something changes
run bob "covey record put garden plants --id tomato '{\"name\":\"tomato\",\"bed\":6}'"
run bob "covey record put garden plants --id tomato '{\"bed\":5,\"note\":\"under glass\"}'"
until_says "$work/ada.watch" 'under glass'
kill -INT "$watch"
wait "$watch" || true
printf '\nada$ covey record watch garden plants   (in another terminal, meanwhile)\n'
cat "$work/ada.watch"
run ada 'covey record get garden plants tomato'
run ada 'covey status'

stop bob "$work/bob.up"
run ada "covey record put garden plants --id garlic '{\"name\":\"garlic\",\"bed\":2}'"
run ada 'covey status'

start bob 'covey up' "$work/bob.up" '^Ctrl-C stops'
until_prints bob 'covey status' 'in sync'
run bob 'covey record get garden plants garlic'
run bob 'covey status'
run ada 'covey status'
run ada 'covey doctor'
stop bob "$work/bob.up"
stop ada "$work/ada.up"
