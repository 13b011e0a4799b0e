#!/usr/bin/env bash
# install.sh - puts the server into ES_INSTALL_DIR (default /var/tmp/es-<version>), once; prints the folder.
# ORDERTRACE_TEST_ES_VERSION is 9 (the default) or 8. Needs mvn. A second call at the same time waits for the first.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
case "${ORDERTRACE_TEST_ES_VERSION:-9}" in
  9*) version=9.4.3 archive=() ;;
  8*) version=8.19.13 archive=(-Dsonarqube.version=26.4.0.121862 -Dsonarqube.excludes=) ;;
  *) echo "ORDERTRACE_TEST_ES_VERSION is 8 or 9, not $ORDERTRACE_TEST_ES_VERSION" >&2; exit 2 ;;
esac
install=${ES_INSTALL_DIR:-/var/tmp/es-$version}
mkdir -p "$(dirname "$install")"
exec 9>>"$install.lock"
flock 9
if [ ! -d "$install" ]; then
  # The 950 MB zip goes to a Maven repository that is thrown away: only the server, 150 MB, stays.
  # The folder appears under its name only when it is complete.
  partial=$(mktemp -d "$install.XXXXXX")
  trap 'rm -rf "$partial"' EXIT
  mvn -B -q -f "$here/pom.xml" -Dmaven.repo.local="$partial/m2" -Des.unpack.dir="$partial/out" "${archive[@]}" \
    dependency:unpack >&2
  mv "$partial"/out/*/elasticsearch "$partial/es"
  mkdir -p "$partial/es/plugins"
  chmod -R a+rX "$partial/es"
  mv "$partial/es" "$install"
fi
echo "$install"
