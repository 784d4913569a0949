#!/bin/sh
# Makes sure that PgBouncer is on this machine: tests run the program behind it.
# Where it cannot be installed they fail and say so.
set -eu

has() { command -v "$1" >/dev/null 2>&1; }

as_root() {
	if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

{ has pgbouncer || [ -x /usr/sbin/pgbouncer ]; } && exit 0
echo "PgBouncer is not installed; installing it." >&2
if has brew && [ "$(id -u)" -ne 0 ]; then
	brew install pgbouncer
elif has apt-get; then
	as_root apt-get update -q
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends pgbouncer
elif has dnf; then
	as_root dnf install -y pgbouncer
elif has apk; then
	as_root apk add pgbouncer
fi
