"""Personal data is masked before anything is stored.

A mask is short and the same for the same value, so that two lines about one phone number can be told to be
so: `[masked:3f2a]`. It is 16 bits of a keyed hash: 65,536 masks for all values, so none leads back to one.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

from ordertrace_instrumentation import vocabulary as ecs

DEFAULT_MASKS: tuple[str, ...] = (
    *("phone", "phone_number", "mobile", "mobile_no", "tel", "telephone", "fax", "email", "e_mail"),
    *("address", "street", "receiver_name", "recipient", "recipient_name", "consignee", "customer_name"),
    *("card", "card_no", "card_number", "pan", "cvv", "cvc", "iban", "bank_account", "account_no"),
    *("id_number", "id_no", "passport", "passport_no", "password", "passwd", "secret", "authorization"),
)
"""Names of fields that are masked where a site says nothing else."""

_ADDRESSES_OF_MACHINES = frozenset(
    {"server.address", "destination.address", "network.peer.address", "network.local.address"}
)
_FREE_TEXTS = (
    ecs.MESSAGE,
    ecs.ERROR_MESSAGE,
    ecs.ERROR_STACK_TRACE,
    ecs.EVENT_REASON,
    "event.original",
    "log",
)
_SHORTEST_IN_TEXT = 5  # a shorter value would be found where it means something else
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_CARD = re.compile(r"(?<![\w.-])(?=[2-6])\d(?:[ -]?\d){12,18}(?![\w-])")
_CARD_PREFIX = re.compile(
    r"4|5[1-5]|2[2-7]|3[0-9]|6[02-5]"
)  # Visa, Mastercard, Amex, Diners, JCB, UnionPay …
_NAME = re.compile(r"(?<![A-Za-z0-9_.-])(?P<name>[A-Za-z][A-Za-z0-9_.-]*+)\\?[\"']?\s{0,4}[=:]\s{0,4}")
_VALUE = re.compile(r"\\?[\"']?(?P<value>(?<=[\"'])[^\"'\\]+|[^\s,;&\"'{}()\\\]，；、。）]+)")


@dataclass(frozen=True, slots=True)
class Masker:
    """Masks the named fields, wherever they stand, and card numbers in free text.

    A name matches a field whose key has it as a whole part (`customer.phone`, `phone.home`) or as the end of
    a part (`receiver_phone`, `receiverPhone`); a dotted name matches that field alone. `key` is the site's
    secret: with one, a list of known phone numbers cannot be tried against the masks.
    """

    names: Collection[str] = DEFAULT_MASKS
    key: str = ""
    _by_part: frozenset[str] = field(init=False)
    _by_path: frozenset[str] = field(init=False)
    _endings: tuple[str, ...] = field(init=False)
    _named: Callable[[str], bool] = field(
        init=False, compare=False
    )  # remembers: names repeat with each record

    def __post_init__(self) -> None:
        names = [_snake(name) for name in self.names if name.strip()]
        parts = frozenset(n for n in names if "." not in n)
        object.__setattr__(self, "_by_part", parts)
        object.__setattr__(self, "_by_path", frozenset(n for n in names if "." in n))
        object.__setattr__(self, "_endings", tuple("_" + name for name in sorted(parts)))
        object.__setattr__(self, "_named", lru_cache(maxsize=4096)(self._is_named))

    def masked(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Mask a flat document in place; lists are searched through."""
        values: set[str] = set()
        named = self._named
        for name, value in fields.items():
            if named(name) and value not in ("", None):
                fields[name] = self._hide(value, values)
            elif type(value) is list:
                fields[name] = self._in_list(cast(list[Any], value), values)
        for name in _FREE_TEXTS:
            text = fields.get(name)
            if type(text) is str:
                fields[name] = self.text(text, values, fields)
        return fields

    def text(self, text: str, values: Collection[str] = (), fields: Mapping[str, Any] | None = None) -> str:
        """Mask in free text: the given values, `phone=…` and `"phone": "…"`, and card numbers.

        A card number is 13 to 19 digits with an issuer's prefix and a right check digit (ISO/IEC 7812-1);
        the order number and the refs in `fields`, those of the record, are none.
        """
        for value in sorted(values, key=len, reverse=True):
            text = text.replace(value, self.mask(value))
        if "=" in text or ":" in text:
            text = self._assignments(text)
        return _CARD.sub(lambda m: self._card(m[0], fields or {}), text)

    def raw(self, record: object) -> str:
        """A record that could not be read, as text, masked as far as it can be understood."""
        if isinstance(record, Mapping):
            text = json.dumps(
                self._in_object(cast(Mapping[Any, Any], record), set()), ensure_ascii=False, default=str
            )
        elif isinstance(record, bytes | bytearray):
            text = record.decode("utf-8", "replace")
        else:
            text = str(record)
        return self.text(text)

    def mask(self, value: str) -> str:
        """The mask of a value. One that is a mask already stays."""
        if value.startswith("[masked:"):
            return value
        digest = hashlib.blake2b(
            value.encode("utf-8", "replace"), digest_size=2, key=self.key.encode()[:64]
        ).hexdigest()
        return f"[masked:{digest}]"

    def _is_named(self, name: str) -> bool:
        path = _snake(name)
        if path in self._by_path:
            return True
        if path in _ADDRESSES_OF_MACHINES:
            return False
        return any(part in self._by_part or part.endswith(self._endings) for part in path.split("."))

    def _hide(self, value: Any, values: set[str]) -> Any:
        if isinstance(value, Mapping):
            return {k: self._hide(v, values) for k, v in cast(Mapping[Any, Any], value).items()}
        if isinstance(value, list | tuple):
            return [self._hide(item, values) for item in cast(list[Any], value)]
        if value is None or isinstance(value, bool):
            return value
        text = str(value)
        if len(text) >= _SHORTEST_IN_TEXT and not text.startswith("[masked:"):
            values.add(text)
        return self.mask(text)

    def _in_list(self, items: list[Any], values: set[str]) -> list[Any]:
        return [
            self._in_object(cast(Mapping[Any, Any], item), values)
            if isinstance(item, Mapping)
            else self._in_list(cast(list[Any], item), values)
            if isinstance(item, list)
            else item
            for item in items
        ]

    def _in_object(self, document: Mapping[Any, Any], values: set[str], prefix: str = "") -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in document.items():
            name = f"{prefix}{key}"
            if self._named(name):
                found[str(key)] = self._hide(value, values)
            elif isinstance(value, Mapping):
                found[str(key)] = self._in_object(cast(Mapping[Any, Any], value), values, name + ".")
            else:
                found[str(key)] = (
                    self._in_list(cast(list[Any], value), values) if isinstance(value, list) else value
                )
        return found

    def _assignments(self, text: str) -> str:
        """Mask the values in `phone=138…`, `"phone": "138 …"`; one without quotes ends at a space or comma."""
        pieces: list[str] = []
        done = 0
        for found in _NAME.finditer(text):
            value = _VALUE.match(text, found.end()) if self._named(found["name"]) else None
            if value is not None and found.start() >= done:
                pieces += (text[done : value.start("value")], self.mask(value["value"]))
                done = value.end("value")
        return "".join((*pieces, text[done:])) if pieces else text

    def _card(self, text: str, fields: Mapping[str, Any]) -> str:
        digits = re.sub(r"[ -]", "", text)
        if not (_CARD_PREFIX.match(digits) and _luhn(digits)):
            return text
        own = (v for k, v in fields.items() if k == ecs.ORDER_ID or k.startswith(ecs.ORDER_REFS))
        return text if text in own else self.mask(digits)


def _luhn(digits: str) -> bool:
    doubled = (sum(divmod(2 * int(d), 10)) for d in digits[-2::-2])
    return (sum(doubled) + sum(int(d) for d in digits[-1::-2])) % 10 == 0


def _snake(name: str) -> str:
    return _HUMP.sub("_", name.strip()).replace("-", "_").lower()
