#!/usr/bin/env bash
# The TypeScript client: `client.sh compile` makes its runtime from
# internal/tsclient/runtime/index.ts, `client.sh test` checks that this was done
# and tries the client with tsc and node.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=$(.ci/npm.sh typescript typescript@7.0.2)
[[ -n $packages ]] || exit 0
export TSC=$packages/node_modules/.bin/tsc

compile() {
	"$TSC" --strict --noUncheckedIndexedAccess --exactOptionalPropertyTypes --noImplicitOverride --noUnusedLocals \
		--noUnusedParameters --verbatimModuleSyntax --declaration --target es2022 --module es2022 --moduleResolution bundler \
		--lib es2022,dom,dom.iterable,dom.asynciterable --types '' --outDir "$1" internal/tsclient/runtime/index.ts
}

case ${1:-} in
compile)
	compile internal/tsclient/runtime
	;;
test)
	fresh=$(mktemp -d)
	trap 'rm -rf "$fresh"' EXIT
	compile "$fresh"
	for file in index.js index.d.ts; do
		if ! diff -u "internal/tsclient/runtime/$file" "$fresh/$file"; then
			echo "internal/tsclient/runtime/$file is not what index.ts compiles to; run make generate." >&2
			exit 1
		fi
	done
	go test -count=1 -tags client -run TestClient ./cmd
	;;
*)
	echo "usage: client.sh compile|test" >&2
	exit 2
	;;
esac
