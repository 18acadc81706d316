#!/usr/bin/env bash
# Builds the web app into web/dist, from where the node's build takes it. Does nothing, quickly, when nothing has changed.
#
# Without a Node.js that is new enough the node is built all the same, and serves a plain page instead.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../web"

wanted=20.19.0
found=$(node --version 2>/dev/null | tr -d v || true)
if [ -z "$found" ] || [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" != "$wanted" ]; then
    echo "web: Node.js $wanted or newer is needed for the web app; found: ${found:-none}." >&2
    echo "web: get it from your system's packages (nodejs and npm) or from https://nodejs.org, then run make again." >&2
    [ "${CI:-}" != true ] || exit 1
    echo "web: going on without the app: the node will serve a plain page" >&2
    exit 0
fi

# npm writes this file last, so that a broken-off installation is done again.
if [ ! node_modules/.package-lock.json -nt package-lock.json ]; then
    echo "web: installing what the app is made of" >&2
    npm ci --no-audit --no-fund --loglevel=error
    touch node_modules/.package-lock.json
fi

# Of the client its sources: its dist/ is for others.
sources=(src packages/client/src index.html vite.config.ts tsconfig.json package-lock.json)
if [ -f dist/index.html ] && [ -z "$(find "${sources[@]}" -newer dist/index.html -type f -print -quit)" ]; then
    exit 0
fi
npm run --silent build -- --logLevel warn
