#!/usr/bin/env bash
# prepare.sh - before a test run: fetches the server where the tests will need it from here. Fails, saying
# nothing, where no Elasticsearch can be had; the tests say what is missing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ -n "${ORDERTRACE_TEST_ES_URL:-}" ] || docker info >/dev/null 2>&1; then exit 0; fi
[ -d "${ES_INSTALL_DIR:-/var/tmp/es-9.4.3}" ] || command -v mvn >/dev/null || exit 1
"$here/java.sh" >/dev/null 2>&1 || exit 1
"$here/install.sh" >/dev/null
