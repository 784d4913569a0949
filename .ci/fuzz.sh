#!/bin/sh
# Lets every fuzz target of the module run for the time given, one after the
# other, and stops at the first input that fails. What fails is kept in the
# package's testdata/fuzz, where `go test` finds it again.
set -eu

for_each=${1:?for how long, such as 1m}
grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9]*' . | sort | while IFS=: read -r file target; do
	echo "$(dirname "$file") ${target#func }"
	go test -run '^$' -fuzz "^${target#func }\$" -fuzztime "$for_each" "$(dirname "$file")"
done
