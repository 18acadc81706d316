#!/usr/bin/env bash
# Runs every test of the workspace and of the web app. The runner's summary is the last thing it prints.
#
#   scripts/test.sh [arguments for cargo nextest run; with any, the web app's tests are left out]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The web app on its own, then in a browser against nodes of this build.
web_tests() {
    (cd web && node scripts/contrast.mjs && node scripts/size.mjs && node scripts/licences.mjs \
        && npm run --silent schema:check && npm run --silent test)
    cargo build --workspace
    web/scripts/e2e.sh
}
if [ $# = 0 ] && [ -f web/dist/index.html ]; then web_tests; fi

# Examples in the documentation first: nextest does not run them, and its summary should stand last.
if cargo nextest --version >/dev/null 2>&1; then
    cargo test --quiet --doc --workspace
    profile=default
    [ "${CI:-}" != true ] || profile=ci
    exec cargo nextest run --workspace --profile "$profile" "$@"
fi

echo "cargo-nextest is not here: running the slower cargo test, one test at a time" >&2
# One at a time, because only nextest knows which tests must not meet (see .config/nextest.toml).
cargo test --quiet --doc --workspace
exec cargo test --workspace --all-targets -- --test-threads=1
