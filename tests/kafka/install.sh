#!/usr/bin/env bash
# install.sh - puts Kafka's jars into KAFKA_INSTALL_DIR (default /var/tmp/kafka-3.9.1), once; prints the folder.
# Needs mvn. A second call at the same time waits for the first.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
install=${KAFKA_INSTALL_DIR:-/var/tmp/kafka-3.9.1}
mkdir -p "$(dirname "$install")"
exec 9>>"$install.lock"
flock 9
if [ ! -d "$install" ]; then
  # The folder appears under its name only when it is complete.
  partial=$(mktemp -d "$install.XXXXXX")
  trap 'rm -rf "$partial"' EXIT
  mvn -B -q -f "$here/pom.xml" -Dmaven.repo.local="$partial/m2" -DoutputDirectory="$partial/lib" -DincludeScope=runtime \
    dependency:copy-dependencies >&2
  chmod -R a+rX "$partial/lib"
  mv "$partial/lib" "$install"
fi
echo "$install"
