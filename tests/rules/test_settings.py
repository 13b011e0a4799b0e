"""Settings: the file, the environment over it, and every mistake at once."""

from pathlib import Path

import pytest

from ordertrace_rules.aliases import DEFAULT_KINDS, AliasKind
from ordertrace_rules.completeness import Judgement
from ordertrace_rules.errors import ConfigError, Problem
from ordertrace_rules.setting_table import SETTINGS, variable_of
from ordertrace_rules.settings import Settings, TailedFile, WebhookSource, is_loopback, load_settings
from ordertrace_rules.times import DAY, HOUR, MINUTE, NS

DOCS = Path(__file__).parents[2] / "docs"


def load(tmp_path: Path, text: str, **environ: str) -> Settings:
    path = tmp_path / "ordertrace.yaml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path, environ)


def problems_of(tmp_path: Path, text: str, **environ: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, **environ)
    return caught.value.problems


def test_without_file_and_environment_the_defaults_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(None, {})
    assert (settings.store, settings.sqlite_path) == ("sqlite", Path("ordertrace.db"))
    assert (settings.host, settings.port, settings.forward_port) == ("127.0.0.1", 8321, 24224)
    assert (settings.tick_interval, settings.retention, settings.time_scale) == (10 * NS, 90 * DAY, 1.0)
    assert settings.completeness.default == Judgement(None, 5 * MINUTE)
    assert settings.alias_kinds == DEFAULT_KINDS
    assert (settings.namespace, settings.language, settings.token) == ("ordertrace", "en", "")
    assert settings.public_url == "http://127.0.0.1:8321"
    assert "phone" in settings.masks


def test_every_setting_of_the_file_is_read(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        """\
store: memory
sqlite_path: /var/lib/ordertrace.db
namespace: shop
host: 0.0.0.0
port: 0
token: s3cret-token
public_url: https://trace.example.com/
forward_host: "::1"
forward_port: null
forward_shared_key: s3cret-key
tick_interval: 1s
time_scale: 3600
processes: processes
playbooks: [playbooks, extra/late.yaml]
mappings: wms.yaml
masks: [phone]
mask_key: s3cret-mask
sources:
  shopify: {token: s3cret-source, mapping: shopify.yaml}
tail:
  - {path: /var/log/wms.log, service: wms, mapping: wms.yaml}
completeness:
  wms: {source: activity, lateness: 15m}
  erp: {source: file}
default_lateness: 2m
alias_kinds:
  invoice_no: {exclusive: true, reuse_after: 1d, issuer_label: shop}
language: zh
retention: 30d
alerting: {}
""",
    )
    assert (settings.store, settings.sqlite_path) == ("memory", Path("/var/lib/ordertrace.db"))
    assert (settings.port, settings.forward_host, settings.forward_port) == (0, "::1", None)
    assert settings.public_url == "https://trace.example.com"
    assert settings.processes == (tmp_path / "processes",)
    assert settings.playbooks == (tmp_path / "playbooks", tmp_path / "extra/late.yaml")
    assert settings.sources == {"shopify": WebhookSource("s3cret-source", tmp_path / "shopify.yaml")}
    assert settings.tail == (TailedFile(Path("/var/log/wms.log"), "wms", tmp_path / "wms.yaml"),)
    assert settings.completeness.of("wms") == Judgement("activity", 15 * MINUTE)
    assert settings.completeness.of("erp") == Judgement("file", 2 * MINUTE)
    assert settings.completeness.of("other") == Judgement(None, 2 * MINUTE)
    assert settings.alias_kinds["invoice_no"] == AliasKind(True, DAY, "shop")
    assert settings.alias_kinds["tracking_no"] == DEFAULT_KINDS["tracking_no"]
    assert (settings.language, settings.retention, settings.masks) == ("zh", 30 * DAY, ("phone",))
    assert "s3cret" not in repr(settings)


def test_the_environment_wins_over_the_file_and_an_empty_variable_is_none(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        "port: 1000\nlanguage: zh\nforward_port: 5\nplaybooks: mine\n",
        ORDERTRACE_PORT="2000",
        ORDERTRACE_LANGUAGE="",
        ORDERTRACE_FORWARD_PORT="null",
        ORDERTRACE_PLAYBOOKS="here, /there",
        ORDERTRACE_TIME_SCALE="0.5",
        ORDERTRACE_TICK_INTERVAL="2h",
    )
    assert (settings.port, settings.language, settings.forward_port) == (2000, "zh", None)
    assert settings.playbooks == (Path("here"), Path("/there"))
    assert (settings.time_scale, settings.tick_interval) == (0.5, 2 * HOUR)


def test_the_file_is_the_one_given_else_the_named_else_the_one_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("ordertrace.yaml", "named.yaml", "given.yaml"), start=1):
        (tmp_path / name).write_text(f"port: {number}\n", encoding="utf-8")
    assert load_settings(None, {}).port == 1
    assert load_settings(None, {"ORDERTRACE_CONFIG": "named.yaml"}).port == 2
    assert load_settings(Path("given.yaml"), {"ORDERTRACE_CONFIG": "named.yaml"}).port == 3
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(Path("none.yaml"), {})


@pytest.mark.parametrize(
    ("text", "line", "message", "fix"),
    [
        ("prot: 80\n", "prot: 80", "“prot” is not a field", "did you mean “port”?"),
        ("port: 70000\n", "port: 70000", "out of range", "from 0 to 65535"),
        ("port: '80'\n", "port: '80'", "a whole number is needed, this is a text", "from 0"),
        ("forward_port: off\n", "forward_port: off", "a whole number", "or null"),
        ("host: 0.0.0.0\n", "host: 0.0.0.0", "beyond this machine without “token”", "ORDERTRACE_TOKEN"),
        ("forward_host: '::'\n", "forward_host: '::'", "without “forward_shared_key”", "forward_shared_key"),
        ("store: redis\n", "store: redis", "“redis” is not known", "sqlite, elasticsearch, memory"),
        ("tick_interval: 0s\n", "tick_interval: 0s", "zero", "2h"),
        ("time_scale: 0\n", "time_scale: 0", "above 0", "such as 1"),
        ("public_url: trace.example.com\n", "public_url: trace.example.com", "form", "https://"),
        ("sources: {Shop ify: {token: s3cret}}\n", "sources: {Shop ify: {token: …", "form", "shopify"),
        ("sources:\n  a: {mapping: x}\n", "  a: {mapping: x}", "“token” is missing", "add token"),
        ("tail: [x.log]\n", "tail: [x.log]", "fields are needed", "path"),
        ("completeness:\n  wms: {source: hope}\n", "  wms: {source: hope}", "“hope”", "heartbeat"),
        ("alias_kinds:\n  a: {exclusive: yes}\n", "  a: {exclusive: yes}", "true or false", "write true"),
        ("alerting: loud\n", "alerting: loud", "fields are needed", "name: value"),
        ("targets: []\n", "targets: []", "not a field", "under “alerting”"),
        ("language: de\n", "language: de", "“de” is not known", "en, zh"),
        ("token: 12345\n", "", "a text is needed", "in quotes"),
        ("tokken: s3cret\n", "tokken: …", "not a field", "“token”"),
    ],
)
def test_each_mistake_has_its_line_and_a_way_out(
    tmp_path: Path, text: str, line: str, message: str, fix: str
) -> None:
    (problem,) = problems_of(tmp_path, text)
    assert problem.text == line
    assert message in problem.message
    assert fix in problem.fix
    assert not any(secret in str(problem) for secret in ("12345", "s3cret"))


def test_a_mistake_in_an_address_does_not_show_its_password(tmp_path: Path) -> None:
    file = tmp_path / "ordertrace.yaml"
    file.write_text('es_url: "htp://elastic:s3cret@search:9200"\n', encoding="utf-8")
    environ = {"ORDERTRACE_SPANS_TO": "http://reader:s3/cr@t@collector:4318/v1 traces"}
    with pytest.raises(ConfigError) as caught:
        load_settings(file, environ)
    said = str(caught.value)
    assert "htp://…@search:9200" in said
    assert "collector:4318" in said
    assert not any(part in said for part in ("s3cret", "elastic", "cr@t"))


def test_a_broken_file_does_not_show_its_secrets(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, 'token: "s3cret\n')
    assert "s3cret" not in str(problem)
    (problem,) = problems_of(tmp_path, "token: s3cret: x\n")
    assert "s3cret" not in str(problem)


def test_the_mistakes_of_file_and_environment_are_told_at_once(tmp_path: Path) -> None:
    problems = problems_of(
        tmp_path,
        "prot: 1\nhost: 0.0.0.0\n",
        ORDERTRACE_PORT="many",
        ORDERTRACE_TOKNE="s3cret",
        ORDERTRACE_SPOOL_DIR="/var/spool",
    )
    assert [p.message for p in problems] == [
        "“prot” is not a field here",
        "listening beyond this machine without “token”",
        "a whole number is needed, this is a text",
        "ORDERTRACE_TOKNE is not a setting",
    ]
    assert problems[2].text == "ORDERTRACE_PORT=many"
    assert "ORDERTRACE_TOKEN" in problems[3].fix


def test_the_variables_of_the_instrumentation_are_not_taken_for_mistakes(tmp_path: Path) -> None:
    names = ("SERVICE", "TRANSPORT", "SPOOL_DIR", "ORDER_ID_PATTERNS", "HEARTBEAT_INTERVAL", "NAMESPACE")
    load(tmp_path, "port: 1\n", **{f"ORDERTRACE_{name}": "x" for name in names})


def test_a_mistake_under_alerting_has_its_line_and_shows_no_secret(tmp_path: Path) -> None:
    text = "port: 1\nalerting:\n  receivers:\n    - name: chat\n      type: webhok\n      url: https://a/s3cret\n"
    problems = problems_of(tmp_path, text)
    assert any(p.line == 5 for p in problems)
    assert "s3cret" not in "".join(map(str, problems))


def test_a_token_opens_the_door(tmp_path: Path) -> None:
    settings = load(tmp_path, "host: 0.0.0.0\n", ORDERTRACE_TOKEN="s3cret")
    assert (settings.host, settings.token, settings.public_url) == (
        "0.0.0.0",
        "s3cret",
        "http://localhost:8321",
    )


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.2", False),
        ("localhost.example.com", False),
    ],
)
def test_loopback_is_told_from_the_rest(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.name)
def test_every_setting_is_documented_with_its_variable(setting: object) -> None:
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    name, variable = setting.name, variable_of(setting)  # type: ignore[attr-defined, arg-type]
    assert f"`{name}`" in text
    assert not variable or f"`{variable}`" in text


def test_a_secret_may_lie_in_a_file_that_a_variable_names(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("s3cret-of-a-file\n", encoding="utf-8")
    environ = {"ORDERTRACE_TOKEN_FILE": str(secret), "ORDERTRACE_ES_PASSWORD_FILE": str(secret)}
    settings = load_settings(None, environ)
    assert (settings.token, settings.es_password) == ("s3cret-of-a-file", "s3cret-of-a-file")
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize("also", [{"ORDERTRACE_TOKEN": "x"}, {}])
def test_a_secret_given_twice_or_in_no_file_is_a_mistake(tmp_path: Path, also: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="ORDERTRACE_TOKEN_FILE"):
        load_settings(None, {"ORDERTRACE_TOKEN_FILE": str(tmp_path / "none"), **also})
