#!/usr/bin/env bash
# java.sh - prints the home of a JDK of 21 or later, as the server needs it; fails where there is none.
# Environment: ES_JAVA_HOME is looked at first, then JAVA_HOME, then what the system has.
set -euo pipefail
for home in "${ES_JAVA_HOME:-}" "${JAVA_HOME:-}" /usr/lib/jvm/*; do
  [ -x "$home/bin/java" ] || continue
  version=$("$home/bin/java" -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java.specification.version = //p')
  [ "${version%%.*}" -ge 21 ] || continue
  # A runtime that was cut to size does not do: the server's own guard asks for this module.
  "$home/bin/java" --list-modules | grep '^jdk.jdi' >/dev/null && { echo "$home"; exit 0; }
done
echo "no JDK >= 21 found: install one, or name its home in ES_JAVA_HOME" >&2
exit 1
