"""Files laid over the configuration: what is said last holds, and a mistake is shown in the file that it is in."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from ordertrace_rules.cli.main import ordertrace
from ordertrace_rules.errors import ConfigError
from ordertrace_rules.overlay import overlaid
from ordertrace_rules.settings import Settings, load_settings
from ordertrace_rules.yamlfile import parse_yaml

BASE = """\
port: 1000
playbooks: [base]
completeness: {wms: {source: activity}, inventory: {lateness: 1m}}
alerting:
  receivers:
    - {name: chat, type: slack, url: "https://hooks.example.com/base"}
    - {name: mail, type: terminal}
  route:
    receiver: chat
    group_wait: 10s
    routes:
      - {receiver: mail, matchers: [severity=info]}
"""


def load(folder: Path, *overlays: str, base: str = BASE) -> Settings:
    """The base with each overlay over it, in a folder of its own."""
    (folder / "base.yaml").write_text(base, encoding="utf-8")
    names: list[str] = []
    for number, text in enumerate(overlays, start=1):
        place = folder / f"site{number}"
        place.mkdir(exist_ok=True)
        (place / "over.yaml").write_text(text, encoding="utf-8")
        names.append(str(place / "over.yaml"))
    return load_settings(folder / "base.yaml", {"ORDERTRACE_OVERLAY": ", ".join(names)})


def test_fields_are_laid_over_one_by_one_and_the_rest_stays(tmp_path: Path) -> None:
    settings = load(tmp_path, "port: 2000\ncompleteness: {wms: {lateness: 3m}}\n", "language: zh\n")
    assert (settings.port, settings.language) == (2000, "zh")
    assert settings.completeness.by_service["wms"].source == "activity"
    assert settings.completeness.by_service["wms"].lateness == 180 * 10**9
    assert settings.completeness.by_service["inventory"].lateness == 60 * 10**9


def test_a_receiver_of_the_same_name_is_changed_and_another_is_added(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        "alerting:\n  receivers:\n    - {name: pager, type: terminal}\n    - {name: chat, language: zh}\n",
    )
    chat, mail, pager = settings.alerting["receivers"]
    assert (chat["url"], chat["language"]) == ("https://hooks.example.com/base", "zh")
    assert (mail["name"], pager["name"]) == ("mail", "pager")


def test_a_list_without_names_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    settings = load(tmp_path, "playbooks: [mine, other]\nalerting: {route: {routes: []}}\n")
    assert settings.playbooks == (tmp_path / "site1" / "mine", tmp_path / "site1" / "other")
    assert settings.alerting["route"] == {"receiver": "chat", "group_wait": "10s", "routes": []}


def test_a_later_file_wins_and_a_variable_over_all(tmp_path: Path) -> None:
    assert load(tmp_path, "port: 2000\n", "port: 3000\n").port == 3000
    names = ",".join(str(tmp_path / f"site{n}" / "over.yaml") for n in (1, 2))
    environment = {"ORDERTRACE_OVERLAY": names, "ORDERTRACE_PORT": "4000"}
    assert load_settings(tmp_path / "base.yaml", environment).port == 4000


def test_an_overlay_needs_no_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("only.yaml").write_text("port: 5000\n", encoding="utf-8")
    assert load_settings(None, {"ORDERTRACE_OVERLAY": "only.yaml"}).port == 5000


def mistakes(folder: Path, *overlays: str, base: str = BASE) -> list[tuple[str, int, str]]:
    with pytest.raises(ConfigError) as caught:
        load(folder, *overlays, base=base)
    return [(Path(p.file).parent.name, p.line, p.message) for p in caught.value.problems]


@pytest.mark.parametrize(
    ("overlay", "line", "says"),
    [
        ("language: zh\nprot: 1\n", 2, "prot"),
        ("alerting:\n  route:\n    group_wait: soon\n", 3, "not a duration"),
        (
            "alerting:\n  receivers:\n    - {name: x, type: terminal}\n    - {name: chat, urll: y}\n",
            4,
            "no such",
        ),
        ("alerting:\n  receivers:\n    - {name: x, type: terminl}\n", 3, "not known"),
        ("alerting:\n  receivers: {}\n", 2, "must be a list"),
        ("- 1\n", 1, ""),
    ],
)
def test_a_mistake_is_shown_in_its_own_file(tmp_path: Path, overlay: str, line: int, says: str) -> None:
    [(place, at, message)] = mistakes(tmp_path, "# nothing wrong here\nport: 2000\n", overlay)
    assert (place, at) == ("site2", line)
    assert says in message


def test_mistakes_of_both_files_are_told_at_once(tmp_path: Path) -> None:
    found = mistakes(tmp_path, "port: x\n", base=BASE.replace("group_wait: 10s", "group_wait: soon"))
    assert [(place, line) for place, line, _ in found] == [("site1", 1), (tmp_path.name, 10)]


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(None, {"ORDERTRACE_OVERLAY": str(tmp_path / "none.yaml")})


def test_lint_sees_the_overlay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "base.yaml").write_text(BASE, encoding="utf-8")
    (tmp_path / "over.yaml").write_text("alerting: {route: {receiver: nobody}}\n", encoding="utf-8")
    monkeypatch.setenv("ORDERTRACE_OVERLAY", str(tmp_path / "over.yaml"))
    result = CliRunner().invoke(ordertrace, ["--config", str(tmp_path / "base.yaml"), "lint"])
    assert result.exit_code != 0
    assert f"{tmp_path / 'over.yaml'}:1" in result.output + result.stderr


def test_of_three_files_each_node_is_of_its_own() -> None:
    texts = ("a: {x: 1, y: 1}\n", "a: {y: 2}\n", "\n\nb: {z: 3}\n")
    one, two, three = (parse_yaml(text, f"{n}.yaml") for n, text in enumerate(texts))
    whole = overlaid(overlaid(one, two), three)
    assert whole.data == {"a": {"x": 1, "y": 2}, "b": {"z": 3}}
    assert [whole.file_of(path) for path in [(), ("a", "x"), ("a", "y"), ("b", "z")]] == [
        "0.yaml",
        "0.yaml",
        "1.yaml",
        "2.yaml",
    ]
    assert whole.line(("b", "z")) == 3
