"""A message to try a receiver with."""

from ordertrace_alerting.grouping import delivery, new_group
from ordertrace_alerting.policy import Route
from ordertrace_alerting.vocabulary import Delivery, Flush, Notification, Sender, Signal


def sample_delivery(sender: Sender, receiver: str, now: int) -> Delivery:
    """What `receiver` is sent of a sample incident at `now`; each has a key of its own."""
    signal = Signal(
        id=f"sample-{now}:1",
        incident=f"sample-{now}",
        number=1,
        kind="opened",
        status="firing",
        at=now,
        labels={"incident": f"sample-{now}", "playbook": "sample", "severity": "info"},
        title={"en": "ordertrace: this is a test", "zh": "ordertrace:这是一条测试消息"},
        body={
            "en": "Somebody tries whether this receiver works. There is nothing to do.",
            "zh": "有人正在测试此接收方是否可用,无需处理。",
        },
    )
    group = new_group(Route((receiver,)), receiver, signal.labels)
    flush = Flush(1, now, (signal,))
    [message, *_] = sender.render(Notification(receiver, group.labels, flush.signals))
    return delivery(group, flush, receiver, 0, message)
