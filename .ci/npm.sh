#!/usr/bin/env bash
# Prints the folder with the npm packages named as NAME@VERSION, and installs
# them there first where they are missing: npm.sh FOLDER NAME@VERSION...
#
# Without node it fails, because a check that was not run has not passed.
# SKIP_NODE=1 says that this is meant: it then prints nothing and succeeds.
set -euo pipefail
cd "$(dirname "$0")/.."

# has_node succeeds when node is there with npm, and new enough for the client.
has_node() {
	command -v npm >/dev/null && command -v node >/dev/null || return 1
	(($(node -p 'process.versions.node.split(".")[0]') >= 20))
}

if ! has_node; then
	if [[ ${SKIP_NODE:-} == 1 ]]; then
		echo "SKIPPED: node 20 with npm is not there, and SKIP_NODE=1 says that this is meant" >&2
		exit 0
	fi
	echo "node 20 or newer with npm is not there. Install it, or skip this check with SKIP_NODE=1." >&2
	exit 1
fi

folder=.bin/npm-$1
shift
# The list of versions is kept beside the packages, so that others are not there.
if [[ $(cat "$folder/versions" 2>/dev/null) != "$*" ]]; then
	rm -rf "$folder"
	mkdir -p "$folder"
	echo '{"private":true}' >"$folder/package.json"
	npm install --prefix "$folder" --no-package-lock --no-audit --no-fund --loglevel=error --save-exact "$@" >&2
	echo "$*" >"$folder/versions"
fi
echo "$PWD/$folder"
