"""Docs say what there is: every command and option, links that lead somewhere, no page that nobody finds."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest
from click.testing import CliRunner

from ordertrace_rules.cli.main import ordertrace

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
CLI = (DOCS / "cli.md").read_text(encoding="utf-8")
_LINK = re.compile(r"!?\[[^\]\n]*\]\(([^()\s]+(?:\([^()\s]*\))?)(?:\s+\"[^\"]*\")?\)")
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands(
    command: click.Command, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from commands(inner, (*path, name))


COMMANDS = dict(commands(ordertrace, ("ordertrace",)))


def section_of(path: tuple[str, ...]) -> str:
    """What the page says of a command: from the line that begins with it to the next that begins with another."""
    starts = [
        (m.start(), m[1]) for m in re.finditer(r"^(?:### |- )?`(ordertrace(?: [a-z]+)*)[^`\n]*`", CLI, re.M)
    ]
    mine = [position for position, name in starts if tuple(name.split())[: len(path)] == path]
    assert mine, f"docs/cli.md does not name `{' '.join(path)}`"
    known = {" ".join(other) for other in COMMANDS}
    ends = [
        at
        for at, name in starts
        if at > mine[0] and name in known and tuple(name.split())[: len(path)] != path
    ]
    return CLI[mine[0] : min(ends, default=len(CLI))]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_is_in_the_page_with_every_option(path: tuple[str, ...]) -> None:
    text = section_of(path) if len(path) > 1 else CLI
    options = [p for p in COMMANDS[path].params if isinstance(p, click.Option) and not p.hidden]
    missing = [o.opts[0] for o in options if not re.search(re.escape(o.opts[0]) + r"(?![\w-])", text)]
    assert missing == []


def test_the_page_names_no_option_that_there_is_not() -> None:
    known = {o for command in COMMANDS.values() for p in command.params for o in p.opts} | {"--help", "-h"}
    prose = re.sub(r"pip install.*", "", CLI)
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", prose)) - known == set()


@pytest.mark.parametrize("path", [p for p in COMMANDS if len(p) > 1], ids=" ".join)
def test_every_command_says_in_its_help_what_it_does(path: tuple[str, ...]) -> None:
    assert COMMANDS[path].get_short_help_str(), f"{' '.join(path)} has no docstring"


def runs(command: click.Command) -> bool:
    return not isinstance(command, click.Group) or command.invoke_without_command


@pytest.mark.parametrize("path", [p for p, command in COMMANDS.items() if runs(command)], ids=" ".join)
def test_every_command_shows_examples_of_itself_that_it_takes(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    examples = re.findall(r"^ +(ordertrace .+)$", f"{command.help}\n{command.epilog or ''}", re.M)
    assert examples, f"{' '.join(path)} --help has no example"
    own = " ".join(path)
    assert all(line == own or line.startswith(own + " ") for line in examples)
    known = {option for parameter in command.params for option in parameter.opts}
    assert {option for line in examples for option in re.findall(r"(?<=\s)--[a-z-]+", line)} <= known


def test_the_help_has_examples_and_shell_completion() -> None:
    epilog = ordertrace.epilog or ""
    assert "Examples:" in epilog
    for line in re.findall(r"^  ordertrace (\w+)", epilog, re.M):
        assert ("ordertrace", line) in COMMANDS
    assert "_ORDERTRACE_COMPLETE" in epilog
    for shell in ("bash", "zsh", "fish"):
        assert f"_ORDERTRACE_COMPLETE={shell}_source ordertrace" in CLI


def links(page: Path) -> list[str]:
    return _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    found = set[str]()
    for heading in re.findall(r"^#{1,6}\s+(.+?)\s*$", _FENCE.sub("", page.read_text(encoding="utf-8")), re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        anchor = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        number = 0
        while (slug := anchor if not number else f"{anchor}-{number}") in found:
            number += 1
        found.add(slug)
    return found


def leads_somewhere(page: Path, link: str) -> bool:
    """Addresses of other sites are believed; a file is there, and in a page of ours the heading too."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return True
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    return not parts.fragment or target.suffix != ".md" or unquote(parts.fragment) in anchors(target)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = [link for link in links(page) if not leads_somewhere(page, link)]
    assert broken == []


def test_every_page_is_reached_from_the_index() -> None:
    reached, waiting = set[Path](), [DOCS / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or not page.is_file():
            continue
        reached.add(page)
        if page.suffix == ".md":
            targets = [(page.parent / unquote(urlsplit(link).path)).resolve() for link in links(page)]
            waiting += [t for t in targets if t.is_relative_to(ROOT)]
    assert [name_of(page) for page in PAGES if page not in reached] == []


def test_both_readmes_show_the_same_commands_and_lead_to_the_same_pages() -> None:
    def shown(page: Path) -> tuple[list[str], set[str]]:
        text = page.read_text(encoding="utf-8")
        code = "\n".join(m[0] for m in re.finditer(_FENCE, text))
        lines = [
            re.sub(r"(ORDERTRACE_LANGUAGE=zh | --language zh|\s+#.*)", "", line) for line in code.splitlines()
        ]
        return [line.strip() for line in lines], {link for link in links(page) if "README" not in link}

    assert shown(ROOT / "README.md") == shown(ROOT / "README.zh-CN.md")


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_replay_of_the_readme_finds_what_it_says(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    [record] = re.findall(r"^`({.*})`", text, re.M)
    [command] = re.findall(r"^ordertrace (backtest .*)$", text, re.M)
    [incident, time] = re.findall(r"`(\w+-1)`\D+(\d\d:\d\d:\d\d)", text)[0]
    Path("day.jsonl").write_text(record + "\n", encoding="utf-8")
    found = CliRunner().invoke(ordertrace, [*command.split(), "--format", "json"])
    [said] = json.loads(found.stdout)["incidents"]
    assert (said["id"], said["opened_at"][11:19]) == (incident, time)
