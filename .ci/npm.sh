#!/usr/bin/env bash
# Prints the folder with the npm packages named as NAME@VERSION, and installs
# them there first where they are missing: npm.sh FOLDER NAME@VERSION...
#
# Without node it fails, because a check that was not run has not passed.
# SKIP_NODE=1 says that this is meant: it then prints nothing and succeeds.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v npm >/dev/null; then
	if [[ ${SKIP_NODE:-} == 1 ]]; then
		echo "SKIPPED: npm is not there, and SKIP_NODE=1 says that this is meant" >&2
		exit 0
	fi
	echo "npm is not there. Install node 20 or newer (Debian: apt-get install nodejs npm), or skip this check with SKIP_NODE=1." >&2
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
