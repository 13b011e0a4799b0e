"""The one table of what a site can set: it reads the file and the environment, and docs and schema follow it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ordertrace_alerting.config import alerting_schema
from ordertrace_rules.actions.targets import actions_schema
from ordertrace_rules.fields import (
    ID,
    NAME,
    SERVICE,
    Duration,
    Factor,
    Field,
    Flag,
    Kind,
    Listing,
    Reading,
    Record,
    Schema,
    String,
    Table,
    Whole,
    name_of,
)
from ordertrace_rules.intake.masking import DEFAULT_MASKS
from ordertrace_rules.slices import MOST_SLICES
from ordertrace_rules.vocabulary import LANGUAGES
from ordertrace_rules.yamlfile import NodePath

PREFIX = "ORDERTRACE_"


@dataclass(frozen=True, slots=True)
class Location:
    """A file or directory; a relative one is seen from the file that names it."""

    text: String = field(default_factory=lambda: String(longest=1000))

    def read(self, value: Any, path: NodePath, reading: Reading) -> Path | None:
        text = self.text.read(value, path, reading)
        return None if text is None else Path(reading.document.file_of(path)).parent / Path(text).expanduser()

    def schema(self) -> Schema:
        return self.text.schema()


@dataclass(frozen=True, slots=True)
class Foreign:
    """Fields that readers of alerting's kind read; `outline` gives their schema."""

    outline: Callable[[], Schema]

    def read(self, value: Any, path: NodePath, reading: Reading) -> dict[str, Any] | None:
        if isinstance(value, dict):
            return value  # pyright: ignore[reportUnknownVariableType]
        reading.problem(path, f"fields are needed, this is {name_of(value)}", "write “name: value” lines")
        return None

    def schema(self) -> Schema:
        """Without its definitions, which belong to the root of the whole."""
        return {name: value for name, value in self.outline().items() if name != "$defs"}


_SECRET = String(longest=500, secret=True)
_PATHS = Listing(Location(), single=True)
_HOST = String(r"[A-Za-z0-9_.:%\[\]-]+", "127.0.0.1")
_PORT = 65_535
_ADDRESS = String(r"https?://[^\s@]+", "https://search.example.com:9200")

SOURCE = Record(
    (
        Field("token", _SECRET, "the secret that the sender shows", required=True),
        Field("mapping", Location(), "the mapping file for what it sends"),
    )
)

TAILED = Record(
    (
        Field("path", Location(), "the log file that is followed", required=True),
        Field("service", SERVICE, "the service that writes it, where its lines don't say so"),
        Field("mapping", Location(), "the mapping file for its lines"),
    )
)

FOREIGN_INDEX = Record(
    (
        Field(
            "index",
            String(r"[^\s/?#\"\\<>|]+", "filebeat-*"),
            "the index, data stream or pattern that is read; several are divided by commas",
            required=True,
        ),
        Field("mapping", Location(), "the mapping file for its documents"),
        Field("service", SERVICE, "the service that writes it, where its documents don't say so"),
        Field("time_field", NAME, "the date by which it is read", default="@timestamp"),
        Field("query", String(longest=2_000), "only documents that this Lucene query finds"),
        Field(
            "lateness", Duration(), "how long after that date a document may come into a search", default="2m"
        ),
        Field("since", Duration(), "how far back the first reading begins", default="7d"),
    )
)

COMPLETENESS = Record(
    (
        Field(
            "source",
            String(choices=("heartbeat", "activity", "file")),
            "by what its logs are known to be all here; heartbeats where it sends any, else activity",
        ),
        Field("lateness", Duration(may_be_zero=True), "how late its records may come"),
    )
)

REPHRASE = Record(
    (
        Field("url", _ADDRESS, "the address that takes chat completions", required=True),
        Field("model", NAME, "the model's name there", required=True),
        Field("key_file", Location(), "the file that holds the key, where one is needed"),
        Field("timeout", Duration(), "of a request, at most 30s", default="10s"),
        Field("allow_private", Flag(), "whether the address may be of a private network", default=False),
    )
)

ALIAS_KIND = Record(
    (
        Field("exclusive", Flag(), "leads to one order at a time; a second one is a conflict", default=False),
        Field("reuse_after", Duration(), "after how long the issuer gives the value out again"),
        Field("issuer_label", NAME, "the label that names the issuer, such as carrier"),
    )
)

SETTINGS: tuple[Field, ...] = (
    Field(
        "store",
        String(choices=("sqlite", "elasticsearch", "memory")),
        "where everything is kept",
        default="sqlite",
    ),
    Field("sqlite_path", Location(), "the file of the SQLite store", default="ordertrace.db"),
    Field(
        "es_url",
        _ADDRESS,
        "the address of Elasticsearch, without a user in it",
        default="http://127.0.0.1:9200",
    ),
    Field("es_username", NAME, "the user of Elasticsearch, with `es_password`"),
    Field("es_password", _SECRET, "the password of `es_username`"),
    Field("es_api_key", _SECRET, "an API key of Elasticsearch, instead of user and password"),
    Field("es_ca_certs", Location(), "the certificate of the authority that signed Elasticsearch's"),
    Field(
        "es_namespace",
        String(r"[a-z0-9][a-z0-9_]{0,59}", "default"),
        "the end of the names of data streams and indices: one for each installation",
        default="default",
    ),
    Field("kibana_url", _ADDRESS, "the address of Kibana, for links into its search"),
    Field(
        "namespace",
        NAME,
        "what order.trace_id is computed in; the same in all services",
        default="ordertrace",
    ),
    Field("host", _HOST, "the address on which pages and API listen", default="127.0.0.1"),
    Field("port", Whole(most=_PORT), "their port; 0 is the system's choice", default=8321),
    Field("token", _SECRET, "the secret that pages and API ask for; needed beyond loopback"),
    Field("public_url", String(r"https?://\S+", "https://ordertrace.example.com"), "the address in links"),
    Field("forward_host", _HOST, "the address on which the Forward protocol listens", default="127.0.0.1"),
    Field(
        "forward_port",
        Whole(most=_PORT, or_null=True),
        "its port; 0 is the system's choice, null turns it off",
        default=24224,
    ),
    Field("forward_shared_key", _SECRET, "the secret of Forward's handshake; needed beyond loopback"),
    Field("forward_tls_cert", Location(), "Forward under TLS: the server's certificate, with its chain"),
    Field("forward_tls_key", Location(), "the key of `forward_tls_cert`, where it isn't in the same file"),
    Field(
        "forward_tls_authority",
        Location(),
        "only senders with a certificate that this authority signed are let in",
    ),
    Field("tick_interval", Duration(), "how often what is new and due is judged", default="10s"),
    Field(
        "slices",
        Whole(least=1, most=MOST_SLICES),
        "into how many parts the orders are divided among workers; the same for all of them",
        default=1,
    ),
    Field("time_scale", Factor(), "divides every duration in processes and playbooks: for demos", default=1),
    Field("processes", _PATHS, "files and directories with the site's processes", default=[]),
    Field("playbooks", _PATHS, "files and directories with the site's playbooks", default=[]),
    Field("playbooks_off", Listing(ID, single=True), "playbooks that are not judged by", default=[]),
    Field("mappings", _PATHS, "mapping files for all that comes in", default=[]),
    Field(
        "masks",
        Listing(NAME, single=True),
        "names of fields whose values are masked before anything is stored",
        default=list(DEFAULT_MASKS),
    ),
    Field("mask_key", _SECRET, "the secret without which nobody can try values against the masks"),
    Field(
        "sources",
        Table(String(r"[a-z0-9_-]{1,60}", "shopify"), SOURCE),
        "platforms and carriers that post events, by the name in their address",
        default={},
    ),
    Field("tail", Listing(TAILED), "log files that are followed", default=[]),
    Field(
        "foreign_indices",
        Listing(FOREIGN_INDEX),
        "indices of other programs in Elasticsearch that are read where they are",
        default=[],
    ),
    Field("completeness", Table(SERVICE, COMPLETENESS), "by service: when its logs are all here", default={}),
    Field("default_lateness", Duration(may_be_zero=True), "how late a record may come", default="5m"),
    Field(
        "alias_kinds",
        Table(String(r"[a-z][a-z0-9_]{0,59}", "tracking_no"), ALIAS_KIND),
        "by kind of ref: how its values lead to orders",
        default={},
    ),
    Field(
        "guide_templates",
        Location(),
        "a directory with the site's own guide.html, guide.md or guide.txt",
    ),
    Field("rephrase", REPHRASE, "a language model that may reword messages; none without it"),
    Field("language", String(choices=LANGUAGES), "the language of pages, guides and messages", default="en"),
    Field("spans_to", _ADDRESS, "the OTLP endpoint to which journeys are exported as spans; none without it"),
    Field("retention", Duration(), "how long events are kept", default="90d"),
    Field(
        "actions",
        Foreign(actions_schema),
        "where approved actions are sent, and whether safe ones need no approval",
        default={},
    ),
    Field(
        "alerting",
        Foreign(alerting_schema),
        "targets and routes: who is told what, see alerting.md",
        default={},
    ),
)

CONFIG = Record(
    SETTINGS,
    hints={
        "targets": "it belongs under “alerting”",
        "routes": "it belongs under “alerting”",
        "database": "did you mean “sqlite_path”?",
    },
)

_FROM_TEXT: tuple[type, ...] = (String, Location, Duration, Whole, Factor)


def variable_of(setting: Field) -> str:
    """The environment variable of a setting; empty where its value does not fit on one line."""
    kind: Kind = setting.kind.item if isinstance(setting.kind, Listing) else setting.kind
    return PREFIX + setting.name.upper() if isinstance(kind, _FROM_TEXT) else ""


SECRET_VARIABLES = tuple(
    variable_of(each) for each in SETTINGS if isinstance(each.kind, String) and each.kind.secret
)
FILE_SUFFIX = "_FILE"
"""A secret's variable with this suffix names a file that holds it."""


def data_of(setting: Field, text: str) -> Any:
    """The text of an environment variable as the file would have it: lists are divided at commas."""
    if isinstance(setting.kind, Listing):
        return [part.strip() for part in text.split(",") if part.strip()]
    if isinstance(setting.kind, Whole | Factor):
        for read in (_null, int, float):
            try:
                return read(text)
            except ValueError:
                continue
    return text


def _null(text: str) -> None:
    if text.strip().lower() not in ("null", "off", "none"):
        raise ValueError(text)
