"""The fields that receivers of several types share, and how they are checked."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ordertrace_alerting.durations import NS
from ordertrace_alerting.fields import Fields
from ordertrace_alerting.forms import Form
from ordertrace_alerting.redaction import Secret
from ordertrace_alerting.senders.words import LANGUAGES

DEFAULT_TIMEOUT = 10 * NS
LONGEST_TIMEOUT = 30 * NS


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """`url` hides itself. `timeout` in nanoseconds, for one whole attempt."""

    url: Secret
    timeout: int = DEFAULT_TIMEOUT
    allow_private: bool = False


@dataclass(frozen=True, slots=True)
class TextOptions:
    language: str = "en"
    raw_body: bool = False


DEFAULT_TEXT = TextOptions()


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """What a chat's webhook needs: an address, for some a secret to sign with, and a language."""

    http: HttpOptions
    text: TextOptions = DEFAULT_TEXT
    secret: Secret | None = None


def read_http(fields: Fields) -> HttpOptions:
    """`url`, `timeout` and `allow_private`."""
    return HttpOptions(url=Secret(read_url(fields)), **read_connection(fields))


def read_connection(fields: Fields) -> dict[str, Any]:
    """`timeout` and `allow_private`, as keywords."""
    return {
        "timeout": fields.duration("timeout", DEFAULT_TIMEOUT, least=NS // 10, most=LONGEST_TIMEOUT),
        "allow_private": fields.flag("allow_private", False),
    }


def read_text(fields: Fields) -> TextOptions:
    """`language` and `raw_body`."""
    return TextOptions(language=read_language(fields), raw_body=fields.flag("raw_body", False))


def read_language(fields: Fields) -> str:
    return fields.text("language", DEFAULT_TEXT.language, choices=LANGUAGES)


def read_chat(fields: Fields, *, signs: bool) -> ChatOptions:
    """The fields of a chat; `secret` only where it `signs`."""
    secret = fields.text("secret") if signs else ""
    return ChatOptions(read_http(fields), read_text(fields), Secret(secret) if secret else None)


def read_url(fields: Fields) -> str:
    return fields.required_text("url", "give the address that takes the POST: https://…", form=WEB_ADDRESS)


def check_url(url: str) -> None:
    """Raises ValueError with what is wrong with `url`, without repeating it."""
    try:
        parts = urlsplit(url)
        port_is_sound = parts.port != 0
    except ValueError:
        raise ValueError("is not an address") from None
    if not parts.hostname or not port_is_sound:
        raise ValueError("names no host")
    if "@" in parts.netloc:
        raise ValueError("holds a user name or password: leave them out, the signature shows who sends")
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise ValueError(
            "holds characters that an address cannot: write them percent-encoded, hosts as xn--…"
        )


WEB_ADDRESS = Form(
    "[Hh][Tt][Tt][Pp][Ss]?:[\\s\\S]*",
    "must begin with https:// or http://",
    "write it like https://hooks.example.com/path",
    check_url,
)
