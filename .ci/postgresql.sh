#!/bin/sh
# Makes sure that PostgreSQL's server programs, version 15 or newer, are on this
# machine, and installs the distribution's package where they are not.
#
# Nothing is started: the tests and `app run` start their own private servers
# from these programs. The places searched are those of internal/postgres/embedded.
set -eu

oldest=15

# found succeeds when one directory has both postgres and initdb, new enough.
found() {
	for bin in "${APP_PG_BINDIR:-}" \
		"$(dirname "$(command -v postgres || echo /none/postgres)")" \
		"$(pg_config --bindir 2>/dev/null || echo /none)" \
		/usr/lib/postgresql/*/bin /usr/lib/postgresql*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* \
		/usr/local/pgsql/bin /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin \
		/Applications/Postgres.app/Contents/Versions/*/bin; do
		[ -x "$bin/postgres" ] && [ -x "$bin/initdb" ] || continue
		# "postgres (PostgreSQL) 15.13 (Debian ...)" and "... 18beta1" both begin with the major version.
		major=$("$bin/postgres" --version | sed -n 's/^[^0-9]*\([0-9][0-9]*\).*/\1/p')
		[ "${major:-0}" -ge "$oldest" ] && return 0
	done
	return 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# as_root runs a command as root, through sudo for everybody else.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif has sudo; then
		sudo "$@"
	else
		give_up "installing needs root, and there is no sudo"
	fi
}

give_up() {
	cat >&2 <<-END
		PostgreSQL $oldest or newer is needed, and $1.
		  install it yourself:     the package is postgresql (Debian, Alpine), postgresql-server (Fedora), postgresql@17 (brew)
		  installed elsewhere:     APP_PG_BINDIR=/its/bin make ...
		  or run all in Docker:    docker compose up -d
		  or use a running server: APP_DATABASE_URL=postgres://user:password@host:5432/database make run
	END
	exit 1
}

install_debian() {
	as_root apt-get update -q
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy postgresql-common
	# Why: the server's package would otherwise start a cluster of its own on
	# port 5432. An administrator's own choice, or cluster, is left alone.
	settings=/etc/postgresql-common/createcluster.conf
	if ! grep -q '^[[:space:]]*create_main_cluster' "$settings"; then
		echo 'create_main_cluster = false' | as_root tee -a "$settings" >/dev/null
	fi
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy postgresql
}

found && exit 0
echo "PostgreSQL $oldest or newer is not installed; installing it." >&2
# brew comes first: it also exists on Linux, wants no root and refuses it.
if has brew && [ "$(id -u)" -ne 0 ]; then
	brew install postgresql@17
elif has apt-get; then
	install_debian
elif has dnf; then
	as_root dnf install -y postgresql-server postgresql
elif has apk; then
	as_root apk add postgresql
else
	give_up "there is no brew, apt-get, dnf or apk here to install it with"
fi
found || give_up "the package that was installed has no such version"
