#!/usr/bin/env bash
# Lints the specification that the binary ./app prints. Warnings fail too.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=$(.ci/npm.sh redocly @redocly/cli@2.77.0)
[[ -n $packages ]] || exit 0
document=$(mktemp --suffix=.json)
trap 'rm -f "$document"' EXIT
./app openapi >"$document"
# Why: what it says to its makers, and asks them, is not ours to send.
export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true
"$packages/node_modules/.bin/redocly" lint --extends recommended-strict "$document"
