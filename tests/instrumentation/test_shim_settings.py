"""Settings: arguments over environment, and a wrong one never stops a service."""

import logging
import re
from ipaddress import ip_network
from pathlib import Path

import pytest

from ordertrace_instrumentation import configure, event
from ordertrace_instrumentation.settings import ENVIRONMENT, Settings, Target, read_settings
from ordertrace_instrumentation.shim import current_shim
from ordertrace_rules.setting_table import SETTINGS, variable_of

DOCS = Path(__file__).parents[2] / "docs" / "instrumentation.md"


def test_arguments_go_before_the_environment_and_that_before_the_default() -> None:
    environment = {"ORDERTRACE_SERVICE": "from-env", "ORDERTRACE_NAMESPACE": "site"}
    settings, problems = read_settings({"service": "from-code"}, environment)
    assert (settings.service, settings.namespace, settings.heartbeat_interval) == ("from-code", "site", 30.0)
    assert problems == []


def test_the_name_that_opentelemetry_was_given_is_the_fallback() -> None:
    assert read_settings({}, {"OTEL_SERVICE_NAME": "otel"})[0].service == "otel"
    both = {"OTEL_SERVICE_NAME": "otel", "ORDERTRACE_SERVICE": "own"}
    assert read_settings({}, both)[0].service == "own"
    settings, problems = read_settings({}, {"ORDERTRACE_TRANSPORT": "stdout"})
    assert settings.service == "unknown_service" and "ORDERTRACE_SERVICE" in problems[0]
    assert read_settings({}, {})[1] == [], "what ships nothing needs no name"


def test_every_setting_can_be_read_from_the_environment() -> None:
    settings, problems = read_settings(
        {},
        {
            "ORDERTRACE_SERVICE": "shop",
            "ORDERTRACE_TRANSPORT": "stdout, file:/var/log/x.log,forward://logs:24225,forward://logs,otlp",
            "ORDERTRACE_SPOOL_DIR": "/var/spool/ordertrace",
            "ORDERTRACE_SPOOL_MAX_BYTES": "1000",
            "ORDERTRACE_QUEUE_MAX_RECORDS": "10",
            "ORDERTRACE_ORDER_ID_PATTERNS": '["a", "b"]',
            "ORDERTRACE_HEARTBEAT_INTERVAL": "0.5",
            "ORDERTRACE_TRUSTED_HOSTS": "Wms, .example.com",
            "ORDERTRACE_TRUSTED_PEERS": "10.0.0.0/8,::1",
            "ORDERTRACE_CAPTURE_LOGGING": "yes",
        },
    )
    assert problems == []
    assert settings == Settings(
        service="shop",
        transport=(
            Target("stdout"),
            Target("file", "/var/log/x.log"),
            Target("forward", "logs:24225"),
            Target("forward", "logs:24224"),
            Target("otlp"),
        ),
        spool_dir=Path("/var/spool/ordertrace"),
        spool_max_bytes=1000,
        queue_max_records=10,
        order_id_patterns=(re.compile("a"), re.compile("b")),
        heartbeat_interval=0.5,
        trusted_hosts=frozenset({"wms", ".example.com"}),
        trusted_peers=(ip_network("10.0.0.0/8"), ip_network("::1")),
        capture_logging=True,
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ORDERTRACE_TRANSPORT", "carrier-pigeon"),
        ("ORDERTRACE_TRANSPORT", "forward://"),
        ("ORDERTRACE_TRANSPORT", "forward://host:port"),
        ("ORDERTRACE_TRANSPORT", "file:"),
        ("ORDERTRACE_TRANSPORT", "forward://user:word@host"),
        ("ORDERTRACE_FORWARD_CA_FILE", "/no/such.pem"),
        ("ORDERTRACE_SPOOL_MAX_BYTES", "-1"),
        ("ORDERTRACE_QUEUE_MAX_RECORDS", "many"),
        ("ORDERTRACE_ORDER_ID_PATTERNS", "("),
        ("ORDERTRACE_HEARTBEAT_INTERVAL", "0"),
        ("ORDERTRACE_HEARTBEAT_INTERVAL", "nan"),
        ("ORDERTRACE_TRUSTED_PEERS", "everybody"),
        ("ORDERTRACE_CAPTURE_LOGGING", "perhaps"),
    ],
)
def test_a_wrong_setting_is_reported_once_and_its_default_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with caplog.at_level(logging.WARNING, "ordertrace"):
        configure("shop")
        configure("shop")
        event("a.b", order_id="SO-1")
    assert current_shim().settings == Settings(service="shop")
    told = [r for r in caplog.records if r.name == "ordertrace" and value in r.getMessage()]
    assert len(told) == 1


def test_several_servers_are_one_target_and_a_scheme_begins_the_next() -> None:
    given = "forward://a,b:1, [::1]:2 ,forward+tls://c:3,stdout"
    assert read_settings({"service": "x", "transport": given}, {})[0].transport == (
        Target("forward", "a:24224,b:1,::1:2"),
        Target("forward", "c:3", tls=True),
        Target("stdout"),
    )
    assert Target("forward", "a:24224,::1:2").addresses == (("a", 24224), ("::1", 2))


def test_a_secret_may_lie_in_a_file_and_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret\n")
    environment = {"ORDERTRACE_SERVICE": "x", "ORDERTRACE_FORWARD_SHARED_KEY_FILE": str(tmp_path / "key")}
    settings, problems = read_settings({}, environment)
    assert settings.forward_shared_key == "s3cret" and problems == []
    assert "s3cret" not in repr(settings)
    environment["ORDERTRACE_FORWARD_SHARED_KEY_FILE"] = str(tmp_path / "none")
    settings, problems = read_settings({}, environment)
    assert settings.forward_shared_key == "" and "SHARED_KEY_FILE" in problems[0]


def test_one_bad_pattern_costs_not_the_good_one() -> None:
    settings, problems = read_settings({"service": "x", "order_id_patterns": ["(", r"SO-\d+"]}, {})
    assert [p.pattern for p in settings.order_id_patterns] == [r"SO-\d+"]
    assert len(problems) == 1


@pytest.mark.parametrize("rubbish", [object(), 7, b"\xff", [None], {"a": 1}])
def test_configure_takes_any_rubbish_without_raising(rubbish: object) -> None:
    configure(*[rubbish], **{name: rubbish for name in ENVIRONMENT if name not in ("service", "spool_dir")})  # type: ignore[arg-type]
    event("a.b")


def test_without_a_transport_records_are_counted_and_the_way_out_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    configure("shop")
    with caplog.at_level(logging.WARNING, "ordertrace"):
        event("a.b")
        event("a.b")
    assert current_shim().lost() == {"no_transport": 2}
    assert [r.getMessage() for r in caplog.records if "ORDERTRACE_TRANSPORT" in r.getMessage()].__len__() == 1


def test_a_spool_directory_that_cannot_be_made_leaves_a_queue_in_memory(
    receiver: object, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    configure("shop", transport=f"forward://127.0.0.1:{receiver.port}", spool_dir=tmp_path / "file" / "x")  # type: ignore[attr-defined]
    event("a.b")
    assert current_shim().lost() == {}


def test_every_setting_is_documented_with_its_variable() -> None:
    text = DOCS.read_text("utf-8")
    missing = [
        n for name, variables in ENVIRONMENT.items() for n in (name, *variables) if f"`{n}`" not in text
    ]
    assert missing == []


def test_a_misspelt_variable_is_told_and_no_setting_of_the_rules_is_taken_for_one() -> None:
    rules = {variable: "1" for setting in SETTINGS if (variable := variable_of(setting))}
    _, problems = read_settings({}, {**rules, "ORDERTRACE_NAMESPACE": "", "ORDERTRACE_TRANSPRT": "stdout"})
    assert [p for p in problems if "is no setting" in p] == [
        "ORDERTRACE_TRANSPRT is no setting: did you mean ORDERTRACE_TRANSPORT?"
    ]
