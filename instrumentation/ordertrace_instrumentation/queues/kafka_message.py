"""A message of Kafka, whatever client has it."""

from typing import Any

from ordertrace_instrumentation.queues.message import Message, texts

ID_HEADER = "message-id"
_ID_HEADERS = (ID_HEADER, "message_id", "ce_id")  # the last is of CloudEvents


def kafka_message(
    topic: object,
    headers: Any,
    value: object,
    brokers: tuple[str, ...],
    *,
    position: tuple[int, int] | None = None,
    group: object = None,
) -> Message:
    """`position` is partition and offset of a message that was consumed, its id where no header has one."""
    known = texts(headers)
    lowered = {name.lower(): text for name, text in known.items()}
    message_id = next((lowered[name] for name in _ID_HEADERS if lowered.get(name)), "")
    if not message_id and position is not None:
        message_id = position_id(topic, *position)
    return Message(str(topic), message_id, str(group or ""), known, value, brokers)


def position_id(topic: object, partition: Any, offset: Any) -> str:
    """What both sides can tell without a header; "" where the broker didn't say, as with `acks=0`."""
    return f"{topic}-{partition}-{offset}" if isinstance(offset, int) and offset >= 0 else ""
