#!/usr/bin/env bash
# Holds the dependencies against deny.toml: licences, sources, duplicates, and known advisories where
# the database can be had. Says so, and succeeds, where cargo-deny isn't installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! cargo deny --version >/dev/null 2>&1; then
    echo "cargo-deny is not here: licences, sources and advisories were not checked"
    exit 0
fi
cargo deny --locked check --hide-inclusion-graph licenses bans sources
if timeout 15 git ls-remote --quiet --exit-code https://github.com/rustsec/advisory-db HEAD >/dev/null 2>&1; then
    cargo deny --locked check --hide-inclusion-graph advisories
else
    echo "the advisory database can't be reached: advisories were not checked"
fi
