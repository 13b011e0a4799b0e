"""Receivers as they are written: a name, a type, what the type needs, and secrets that may lie in files."""

import os
from collections.abc import Mapping
from pathlib import Path

from ordertrace_alerting.durations import NS
from ordertrace_alerting.errors import ConfigProblem
from ordertrace_alerting.fields import Fields
from ordertrace_alerting.policy import Receiver
from ordertrace_alerting.senders import RECEIVER_TYPES
from ordertrace_alerting.vocabulary import RateLimit

DEFAULT_RECEIVER: Mapping[str, object] = {"name": "terminal", "type": "terminal"}

SECRET_FIELDS = ("url", "secret", "secrets", "password", "token")

_TOLD_ONE_BY_ONE = frozenset({"webhook", "ticket", "terminal"})
"""Programs that want each incident, and a screen that takes all; everybody else is a person with a phone."""


def read_receivers(fields: Fields) -> list[Receiver]:
    """What is under `receivers`; without it, the terminal."""
    empty = "names no receiver", "name one, or leave `receivers` out for the terminal"
    receivers = fields.each("receivers", _receiver, empty=empty)
    if not fields.has("receivers"):
        return [_receiver(Fields(DEFAULT_RECEIVER, ("receivers", 0), fields.problems))]
    seen: set[str] = set()
    for place, receiver in enumerate(receivers):
        if receiver.name and receiver.name in seen:
            path = ("receivers", place, "name")
            fields.problems.append(
                ConfigProblem(path, f"{receiver.name!r} is there twice", "give each receiver its own name")
            )
        seen.add(receiver.name)
    return receivers


def with_secrets(fields: Fields) -> Fields:
    """The fields with each secret x read from the file that `x_file` or the variable that `x_env` names."""
    return fields.from_elsewhere(SECRET_FIELDS, {"_file": _content, "_env": _variable})


def _content(fields: Fields, name: str, place: str) -> str:
    fix = "name a file that this program may read, with the secret in it and nothing else"
    try:
        text = Path(place).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not text"
        fields.problem(name, f"cannot be read: {said}", fix)
        return ""
    if not text:
        fields.problem(name, "the file is empty", fix)
    return text


def _variable(fields: Fields, name: str, variable: str) -> str:
    text = os.environ.get(variable, "").strip()
    if not text:
        # Not by its name: somebody may have written the secret itself there.
        fields.problem(name, "there is no such variable in the environment, or it is empty", "set it here")
    return text


def _receiver(written: Fields) -> Receiver:
    fields = with_secrets(written)
    name = fields.required_text("name", "give it a name for routes to refer to")
    kind, options = fields.variant("type", RECEIVER_TYPES)
    send_resolved = fields.flag("send_resolved", True)
    digest = fields.flag("digest", kind not in _TOLD_ONE_BY_ONE)
    limit = _limit(fields.below("rate_limit")) if fields.has("rate_limit") else None
    fields.raw("rate_limit")
    if kind:
        fields.finish()
    return Receiver(name, kind, options, send_resolved, digest, limit)


def _limit(fields: Fields) -> RateLimit:
    fields.required("count", "say how many messages: {count: 20, per: 1m}")
    limit = RateLimit(
        count=fields.whole("count", 1, least=1),
        seconds=fields.duration("per", 60 * NS, least=NS, most=86_400 * NS) / NS,
    )
    fields.finish()
    return limit
