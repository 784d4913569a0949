#!/bin/sh
# Makes sure that there is a Chromium for the browser tests, and installs
# Debian's package where there is none. SKIP_BROWSER=1 goes without.
set -eu

[ -z "${SKIP_BROWSER:-}" ] || exit 0
for name in chromium chromium-browser google-chrome chrome; do
	if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done

give_up() {
	cat >&2 <<-END
		The browser tests need Chromium, and $1.
		  install it yourself: the package is chromium (Debian, Fedora, Alpine), --cask chromium (brew)
		  or go without:       SKIP_BROWSER=1 make test-browser
	END
	exit 1
}

command -v apt-get >/dev/null 2>&1 || give_up "there is none here and no apt-get to install it with"
root=
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null 2>&1 || give_up "installing it needs root, and there is no sudo"
	root=sudo
fi
echo "Chromium is not installed; installing it." >&2
$root apt-get update -q
$root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends chromium || give_up "apt-get could not install it"
