"""Transitions become signals: each once, in both languages, and none is lost by a crash."""

from urllib.parse import unquote

import pytest

from ordertrace_alerting.vocabulary import Signal
from ordertrace_rules.errors import Conflict
from ordertrace_rules.kibana import Kibana
from ordertrace_rules.relay import relay
from ordertrace_rules.stores.memory import MemoryStore


class Outbox:
    """Keeps signals by id, as alerting does."""

    def __init__(self) -> None:
        self.signals: dict[str, Signal] = {}
        self.offered = 0

    def accept(self, signal: Signal) -> bool:
        self.offered += 1
        known = signal.id in self.signals
        self.signals.setdefault(signal.id, signal)
        return not known


def stuck(world, *orders: str) -> None:
    for order in orders:
        world.say(0, "payment", "payment.captured", order, order__amount=5, order__currency="EUR")
    world.tick(130)


def relayed(world, outbox: Outbox) -> int:
    assert world.catalogue is not None
    return relay(world.store, world.catalogue, outbox.accept, "http://shop.example", world.clock.now())


def test_each_transition_is_a_signal_with_a_guide_in_both_languages(world):
    outbox = Outbox()
    stuck(world, "SO-1")
    assert relayed(world, outbox) == 1
    signal = outbox.signals["paid_not_reserved-1:1"]
    assert (signal.kind, signal.status, signal.number) == ("opened", "firing", 1)
    assert signal.labels["playbook"] == "paid_not_reserved"
    assert signal.url == "http://shop.example/incidents/paid_not_reserved-1"
    assert "SO-1" in signal.body["en"]
    assert "库存同步异常" in signal.body["zh"]
    assert signal.payload["incident"] == "paid_not_reserved-1"


def test_a_guide_that_is_sent_leads_into_kibana_by_the_orders_and_their_refs(world):
    outbox = Outbox()
    world.say(0, "storefront", "order.placed", "SO-1")
    world.say(1, "payment", "payment.captured", "SO-1", order__refs__payment_id="P-7")
    world.tick(131)
    kibana = Kibana("https://k.example/s/ops")
    relay(world.store, world.catalogue, outbox.accept, "http://shop.example", world.clock.now(), kibana)
    [signal] = outbox.signals.values()
    [line] = [line for line in signal.body["zh"].splitlines() if "Kibana" in line]
    assert line.startswith("- [在 Kibana 中查询这些订单的日志。](https://k.example/s/ops/app/discover#/?_g=")
    assert 'order.id : "SO-1" or order.refs.payment_id : "P-7"' in unquote(line)


def test_a_relayed_transition_is_trimmed_and_not_relayed_again(world):
    outbox = Outbox()
    stuck(world, "SO-1")
    relayed(world, outbox)
    assert relayed(world, outbox) == 0
    assert world.incidents()["paid_not_reserved-1"].transitions == ()
    world.say(140, "inventory", "inventory.reserved", "SO-1")
    world.tick(150)
    relayed(world, outbox)
    assert [s.kind for s in outbox.signals.values()] == ["opened", "resolved"]
    assert outbox.signals["paid_not_reserved-1:2"].status == "resolved"


class Refusing(MemoryStore):
    refuse = False

    def put_incident(self, incident, version):
        if self.refuse:
            raise Conflict("somebody was quicker")
        return super().put_incident(incident, version)


def test_a_crash_before_the_trim_repeats_the_same_signal(make_world):
    world, outbox = make_world(store=Refusing()), Outbox()
    stuck(world, "SO-1")
    world.store.refuse = True
    relayed(world, outbox)
    world.store.refuse = False
    relayed(world, outbox)
    assert (outbox.offered, list(outbox.signals)) == (2, ["paid_not_reserved-1:1"])


def test_an_outbox_that_fails_leaves_the_transition_where_it_is(world):
    def full(signal: Signal) -> bool:
        raise OSError("no space left on device")

    stuck(world, "SO-1")
    with pytest.raises(OSError, match="no space"):
        relay(world.store, world.catalogue, full, "", world.clock.now())
    assert [t.number for t in world.incidents()["paid_not_reserved-1"].transitions] == [1]
