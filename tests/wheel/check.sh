#!/usr/bin/env bash
# Builds sdist and wheel with the Python given, installs the wheel in clean environments, and tries it there.
#   tests/wheel/check.sh PYTHON
set -euo pipefail

python=${1:?usage: tests/wheel/check.sh PYTHON (one with the package build installed)}
case $python in */*) python=$(cd "$(dirname "$python")" && pwd)/$(basename "$python") ;; esac
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/ordertrace-wheel.XXXXXX")
service=
trap '[ -z "$service" ] || kill "$service" 2>/dev/null || true; rm -rf "$work"' EXIT

# Nothing of the checkout or of the caller's settings may help the installed wheel.
unset PYTHONPATH PYTHONHOME "${!ORDERTRACE_@}" "${!OTEL_@}"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8

say() { echo "wheel: $*"; }
fail() { echo "wheel: FAILED: $*" >&2; exit 1; }
holds() { grep -qF -- "$2" "$1" || { cat "$1" >&2; fail "$3: “$2” is missing"; }; }

build() {
  say "building the sdist, and the wheel from it"
  # From a copy, so that nothing that lies about in build/ or *.egg-info gets in, and nothing is left behind.
  mkdir "$work/source"
  (cd "$root" && git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    [ ! -e "$file" ] || printf '%s\0' "$file"
  done | tar -c --null -T -) | tar -x -C "$work/source"
  "$python" -m build --outdir "$work/dist" "$work/source" >"$work/build.log" 2>&1 ||
    { tail -30 "$work/build.log" >&2; fail "the build"; }
  wheel=$(echo "$work"/dist/*.whl)
  say "  $(cd "$work/dist" && du -h ./* | awk '{print $2 " " $1}' | sed 's,^\./,,' | paste -sd ' ')"
}

# environment NAME REQUIREMENT: a clean virtual environment with it in $work/NAME
environment() {
  "$python" -m venv "$work/$1"
  "$work/$1/bin/python" -m pip install -q "$2" || fail "pip install $2"
}

check_plain() {
  say "plain: what an instrumented service gets"
  environment plain "$wheel"
  cd "$work"
  plain/bin/python - <<'PY' >plain.out
import importlib.util
from ordertrace_instrumentation import configure, event, order, order_trace_id, shutdown

unwanted = [m for m in ("flask", "elasticsearch", "click", "yaml", "requests", "httpx") if importlib.util.find_spec(m)]
assert not unwanted, f"a plain installation brings {unwanted}"
configure("payment", transport="stdout")
with order("SO-1"):
    event("payment.captured", outcome="success", payment_id="P-7")
shutdown()
PY
  plain/bin/python - plain.out <<'PY'
import json, sys

records = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
[event] = [r for r in records if r.get("event.action") == "payment.captured"]
assert event["order.id"] == "SO-1" and event["service.name"] == "payment", event
assert event["order.refs.payment_id"] == "P-7" and len(event["order.trace_id"]) == 32, event
PY
  if plain/bin/ordertrace --help >plain.cli 2>&1; then
    fail "the command line of a plain installation exits with 0"
  fi
  holds plain.cli "pip install 'ordertrace[server]'" "the command line of a plain installation"
  say "  $(plain/bin/python -m pip list --format=freeze | grep -cvE '^(pip|setuptools)=') distributions, no Flask, no click"
}

check_alerting() {
  say "alerting: the outbox and its senders alone"
  environment alerting "$wheel[alerting]"
  cd "$work"
  alerting/bin/python - <<'PY' || fail "alerting alone"
import importlib.util, time
from ordertrace_alerting import Pipeline, Signal, SqliteAlertStore, alerting_config, build_senders

assert not [m for m in ("flask", "click", "yaml", "jinja2") if importlib.util.find_spec(m)]
config = alerting_config({"route": {"group_wait": 0}})
pipeline = Pipeline(config, SqliteAlertStore("alerts.db"), build_senders(config), time.time_ns)
pipeline.accept(Signal("x-1:1", "x-1", 1, "opened", "firing", time.time_ns(), {}, {"en": "told"}, {"en": ""}))
while not pipeline.counts()["sent"]:
    pipeline.tick()
    time.sleep(0.05)
PY
}

# Two orders a minute apart: SO-2's stock was reserved, SO-1's was not. The inventory goes on to talk.
records() {
  "$python" - <<'PY'
import json

def record(at, service, action, order):
    print(json.dumps({"@timestamp": f"2026-01-05T{at}Z", "service.name": service, "event.action": action,
                      "event.id": f"{order}-{action}", "order.id": order}))

for minute, order in ((0, "SO-1"), (1, "SO-2")):
    record(f"08:0{minute}:00", "storefront", "order.placed", order)
    record(f"08:0{minute}:05", "payment", "payment.captured", order)
record("08:01:07", "inventory", "inventory.reserved", "SO-2")
record("10:30:00", "inventory", "inventory.reserved", "SO-3")
PY
}

check_commands() {
  say "server: the commands"
  environment server "$wheel[server]"
  cd "$work"
  server/bin/python -m pip check >pip.out || { cat pip.out >&2; fail "pip check"; }
  server/bin/ordertrace --help >help.out
  holds help.out "ordertrace backtest --events" "the help"
  server/bin/ordertrace lint || fail "the shipped processes and playbooks don't pass lint"
  server/bin/ordertrace schema | "$python" -m json.tool >/dev/null || fail "ordertrace schema is no JSON"
  records >day.jsonl
  server/bin/ordertrace backtest --events day.jsonl --playbook paid_not_reserved --format json >backtest.json
  "$python" - backtest.json <<'PY'
import json, sys

[incident] = json.load(open(sys.argv[1], encoding="utf-8"))["incidents"]
assert incident["playbook"] == "paid_not_reserved", incident
assert incident["verdict"] == "inventory synchronisation anomaly", incident
assert (incident["state"], incident["certainty"]) == ("open", "firm"), incident
assert incident["opened_at"].startswith("2026-01-05T10:00:05"), incident
assert [o["order_id"] for o in incident["orders"]] == ["SO-1"], incident
PY
  say "  backtest: one incident, paid_not_reserved, SO-1"
}

check_service() {
  say "server: the service, its pages, its guide in Chinese"
  cd "$work"
  export ORDERTRACE_SQLITE_PATH=$work/store.db ORDERTRACE_FORWARD_PORT=0
  server/bin/ordertrace ingest day.jsonl >/dev/null
  ORDERTRACE_TICK_INTERVAL=100ms server/bin/ordertrace serve --port 0 --ready-file ready.json >serve.log 2>&1 &
  service=$!
  server/bin/python - ready.json <<'PY' || { cat serve.log >&2; fail "the service"; }
import json, re, sys, time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

def poll(what, find, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := find():
            return found
        time.sleep(0.05)
    raise SystemExit(f"{what} did not come within {seconds} s")

def get(path):
    with urlopen(base + path, timeout=10) as answer:
        return answer.read().decode()

ready = Path(sys.argv[1])
poll("the ready file", ready.exists)
base = json.loads(ready.read_text())["http"]
assert json.loads(get("/healthz"))["status"] == "ok"
page = get("/")
[css] = re.findall(r'<link rel="stylesheet" href="([^"]+)"', page)
assert "{" in get(css), "the stylesheet is empty"
incidents = lambda: [i["id"] for i in json.loads(get("/api/v1/incidents"))["incidents"]]
poll("the incident", lambda: "paid_not_reserved-1" in incidents())
chinese = get("/incidents/paid_not_reserved-1?lang=zh")
for said in ("已付款但库存未锁定", "恢复之后，分小批重新发出缺失的请求"):  # of an order that was never asked for
    assert said in chinese, f"the guide's page lacks “{said}”"
PY
  server/bin/ordertrace guide paid_not_reserved-1 --language zh >guide.out
  holds guide.out "库存同步异常" "the guide on the terminal"
  holds guide.out "现在怎么做" "the fixed sentences of the guide in Chinese"
  kill -TERM "$service"
  wait "$service" || { cat serve.log >&2; fail "the service ended with $? on SIGTERM"; }
  service=
  say "  answered, and stopped on SIGTERM"
}

check_demo() {
  say "demo: the main job, from the wheel"
  environment demo "$wheel[demo]"
  cd "$work"
  demo/bin/ordertrace demo --exit --format json >demo.json 2>demo.log || { tail -40 demo.log >&2; fail "the demo"; }
  "$python" - demo.json <<'PY'
import json, sys

result = json.load(open(sys.argv[1], encoding="utf-8"))
assert result["incident"]["cause"]["service"] == "inventory", result["incident"]
print(f"wheel:   {result['orders']['waiting']} orders waiting, one guide, in {result['seconds']} s")
PY
}

build
check_plain
check_alerting
check_commands
check_service
check_demo
echo "wheel ok"
