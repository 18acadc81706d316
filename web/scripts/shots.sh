#!/usr/bin/env bash
# The pictures in the README, made anew: three real nodes, one browser, light and dark.
#
#   web/scripts/shots.sh [folder]        CHROMIUM=/path COVEY_BIN=/path       (after `make web` and `cargo build`)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
COVEY_PICTURES="$(realpath -m "${1:-../docs/images}")" exec scripts/e2e.sh test/e2e/pictures.e2e.ts
