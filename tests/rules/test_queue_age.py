"""A queue's age: one incident for each destination and subscriber, opened by its oldest message."""

from pathlib import Path

from ordertrace_rules.catalogue import load_catalogue
from ordertrace_rules.times import MINUTE

QUEUE = """\
playbook: queue_old
title: {en: A queue is old, zh: 队列积压}
verdict: {en: queue stands, zh: 队列停滞}
process: order_fulfilment
severity: warning
when: {queue_age: [stock, mail], subscriber: wms, over: 10m}
group_by: warehouse
escalate: [{to: critical, age: 30m}]
guide:
  summary: {en: It stands., zh: 停滞。}
  steps:
    - do: {en: Look., zh: 查看。}
  over_when: {en: It moves., zh: 恢复。}
tests:
  - name: the oldest message opens it, and it is over once none is too old
    events:
      - {at: 0s, event: message.published, message_id: m1, destination: stock, order: A}
      - {at: 5m, event: message.published, message_id: m2, destination: stock, order: B}
      - {at: 12m, event: message.consumed, message_id: m1, destination: stock, order: A, service: wms}
      - {at: 14m, event: message.consumed, message_id: m2, destination: stock, order: B, service: wms}
    until: 1h
    expect: {subject: A, state: resolved, opened: 10m, resolved: 12m}
"""


def message(world, minutes: float, order: str, queue: str, number: int, action: str = "published") -> None:
    fields = {"messaging__message__id": f"m{number}", "messaging__destination__name": queue}
    world.say(minutes, "wms" if action == "consumed" else "shop", f"message.{action}", order, **fields)


def test_each_queue_is_an_incident_whose_age_is_that_of_its_oldest_message(make_world, tmp_path: Path):
    path = tmp_path / "queue_old.yaml"
    path.write_text(QUEUE, encoding="utf-8")
    loaded = load_catalogue((), [path], only=["queue_old"])
    assert loaded.playbooks[0].group_by == ("destination", "subscriber", "warehouse")
    world = make_world(catalogue=loaded)
    message(world, 0, "SO-1", "stock", 1)
    message(world, 2, "SO-2", "stock", 2)
    message(world, 5, "SO-3", "mail", 3)
    message(world, 5, "SO-4", "other", 4)
    world.tick(16)
    groups = {i.group: (i.open_count, i.since, i.severity) for i in world.incidents().values()}
    start = world.store.arrivals("", 1).events[0].timestamp
    assert groups == {
        "destination=stock&subscriber=wms&warehouse=": (2, start, "warning"),
        "destination=mail&subscriber=wms&warehouse=": (1, start + 5 * MINUTE, "warning"),
    }
    message(world, 20, "SO-1", "stock", 1, "consumed")
    world.tick(30)
    severities = {i.group.partition("&")[0]: i.severity for i in world.incidents().values()}
    assert severities == {"destination=stock": "critical", "destination=mail": "warning"}
    message(world, 31, "SO-2", "stock", 2, "consumed")
    world.tick(32)
    states = {i.group.partition("&")[0]: i.state for i in world.incidents().values()}
    assert states == {"destination=stock": "resolved", "destination=mail": "open"}
