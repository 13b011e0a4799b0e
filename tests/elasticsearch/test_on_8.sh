#!/usr/bin/env bash
# test_on_8.sh PYTHON [ARGUMENT…] - the tests of stores, views and outbox on Elasticsearch 8.19.13, by client 8.19.
# PYTHON has the tests' packages; the older client goes into an environment beside it, which is removed at the end.
set -euo pipefail
python=$1
shift
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/client"
"$work/client/bin/python" -m pip install -q 'elasticsearch >= 8.19, < 9'
# The rest is that of PYTHON: its packages come after our own, so that the older client is found first. They are added
# as a site is, so that ordertrace itself, which is installed by a .pth there, is found by the programs that tests start.
purelib='import sysconfig; print(sysconfig.get_path("purelib"))'
printf 'import site; site.addsitedir(%s)\n' "'$("$python" -c "$purelib")'" >"$("$work/client/bin/python" -c "$purelib")/rest.pth"
export ORDERTRACE_TEST_ES_VERSION=8
"$work/client/bin/python" -m pytest -m "not soak" -n "${PYTEST_WORKERS:-2}" tests/rules/stores tests/rules/test_foreign_index.py \
  tests/rules/test_same_on_both_stores.py tests/alerting/test_alert_stores.py "$@"
