#!/usr/bin/env bash
# The app in a real browser, against real nodes. They meet in a network of their own, which is gone when this ends.
#
#   web/scripts/e2e.sh [arguments for vitest]       CHROMIUM=/path COVEY_BIN=/path COVEY_SHOTS=/folder/for/pictures
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:/usr/sbin:/sbin"

skip() {
    echo "web: the tests in a browser are SKIPPED: $1" >&2
    [ "${CI:-}" != true ] || exit 1
    exit 0
}

[ -x "${CHROMIUM:-/usr/bin/chromium}" ] || skip "there is no Chromium (Debian's package chromium, or CHROMIUM=/path)"
[ -f dist/index.html ] || skip "the app is not built (make web)"
command -v ip >/dev/null || skip "there is no ip program (iproute2)"
apart=(unshare --net)
[ "$(id -u)" = 0 ] || apart=(unshare --map-root-user --net)
"${apart[@]}" true 2>/dev/null || skip "this user may not make a network namespace"
exec "${apart[@]}" sh -c 'ip link set lo up && exec node_modules/.bin/vitest run --project e2e "$@"' e2e "$@"
