"""`ordertrace alerts silence add | list | end`, and how `check` shows them, on SQLite."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ordertrace_rules.cli.main import ordertrace
from ordertrace_rules.stores.sqlite import SqliteStore
from ordertrace_rules.vocabulary import Incident

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    SqliteStore(tmp_path / "x.db").close()
    path = tmp_path / "ordertrace.yaml"
    path.write_text(f"sqlite_path: {tmp_path / 'x.db'}\n", encoding="utf-8")

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(ordertrace, ["--config", str(path), "alerts", *arguments])

    return invoke


def ids(run: Run) -> list[str]:
    return [row["id"] for row in json.loads(run("silence", "list", "--format", "json").stdout)["silences"]]


def test_a_silence_is_begun_listed_and_ended(run: Run) -> None:
    made = run("silence", "add", "owner=wms", "severity!=critical", "--for", "2h", "--reason", "stock count")
    assert made.exit_code == 0, made.output
    [silence_id] = re.findall(r"Silence ([0-9a-f]{12}) holds until ", made.output)
    assert ids(run) == [silence_id]
    shown = run("silence", "list").output
    assert 'owner="wms", severity!="critical"' in shown
    assert "stock count" in shown
    ended = run("silence", "end", silence_id)
    assert (ended.exit_code, ended.output) == (0, f"Silence {silence_id} is over.\n")
    assert ids(run) == []


def test_a_program_reads_what_was_made(run: Run) -> None:
    made = run(
        "silence", "add", "owner=wms", "--for", "30m", "--reason", "x", "--author", "Ada", "--format", "json"
    )
    document = json.loads(made.stdout)
    assert (document["author"], document["reason"]) == ("Ada", "x")
    assert ids(run) == [document["id"]]


def test_one_that_is_to_begin_is_listed_and_can_be_called_off(run: Run) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    begins, ends = (f"{tomorrow:%Y-%m-%d}T{hour}:00Z" for hour in ("10", "12"))
    made = run("silence", "add", "owner=wms", "--start", begins, "--until", ends, "--reason", "x")
    assert f"holds from {begins[:-1]}" in made.output, made.output
    [silence_id] = ids(run)
    assert "waits now" not in run("check", "owner=wms").output
    assert run("silence", "end", silence_id).exit_code == 0
    assert ids(run) == []


def test_check_says_that_an_incident_waits_for_a_silence(run: Run) -> None:
    assert "waits now" not in run("check", "owner=wms").output
    run("silence", "add", "owner=wms", "--for", "1h", "--reason", "stock count", "--author", "Ada")
    shown = run("check", "owner=wms")
    assert re.search(r"waits now: silence [0-9a-f]{12} of Ada: stock count", shown.output), shown.output
    assert "waits now" not in run("check", "owner=carrier").output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--for", "2h", "--reason", "x"], "Missing argument"),
        (["owner", "--for", "2h", "--reason", "x"], "not a matcher"),
        (["owner!=wms", "--for", "2h", "--reason", "x"], "nearly everything"),
        (["owner=wms", "--for", "soon", "--reason", "x"], "soon"),
        (["owner=wms", "--for", "200d", "--reason", "x"], "90d"),
        (["owner=wms", "--reason", "x"], "how long it lasts"),
        (["owner=wms", "--for", "2h"], "--reason"),
        (["owner=wms", "--for", "2h", "--reason", " "], "reason: say it in one line"),
        (["owner=wms", "--for", "2h", "--reason", "x", "--author", "a\nb"], "author: say it in one line"),
        (
            ["owner=wms", "--start", "2300-01-01T00:00Z", "--for", "2h", "--reason", "x"],
            "begins now or within",
        ),
    ],
)
def test_what_cannot_be_silenced_is_refused_and_nothing_is_kept(
    run: Run, arguments: list[str], says: str
) -> None:
    refused = run("silence", "add", *arguments)
    assert refused.exit_code == 2
    assert says in refused.output
    assert ids(run) == []


def test_an_unknown_silence_is_an_error_that_says_where_to_look(run: Run) -> None:
    refused = run("silence", "end", "nope")
    assert refused.exit_code == 1
    assert "silence list" in refused.output


def test_what_a_person_wrote_cannot_drive_the_terminal(run: Run) -> None:
    refused = run("silence", "add", "owner=wms", "--for", "1h", "--reason", "\x1b[31mred")
    assert refused.exit_code == 2
    run("silence", "add", "owner=[bold]x", "--for", "1h", "--reason", "[red]y[/red]")
    assert "[red]y[/red]" in run("silence", "list").output


@pytest.mark.parametrize("asked", [["list"], ["add", "owner=wms", "--for", "1h", "--reason", "x"]])
def test_a_file_that_is_no_store_is_named_with_the_way_out(
    run: Run, tmp_path: Path, asked: list[str]
) -> None:
    (tmp_path / "x.db").write_text("a letter\n" * 200)
    said = run("silence", *asked)
    assert said.exit_code == 2
    assert said.output.startswith(
        f"ordertrace: the store {tmp_path}/x.db does not answer: the file is no SQLite"
    )


def test_it_says_which_open_incidents_it_fits(run: Run, tmp_path: Path) -> None:
    ask = ("--for", "1h", "--reason", "x")
    assert run("silence", "add", "owner=wms", *ask).output.endswith("No incident is open now.\n")
    store = SqliteStore(tmp_path / "x.db")
    opened = Incident("paid_not_reserved-1", "paid_not_reserved", 1, "", 1, "critical", "open", "firm", 1, 1)
    store.put_incident(opened, None)
    store.close()
    fits = run("silence", "add", "owner=inventory", *ask)
    assert fits.output.endswith("It fits paid_not_reserved-1.\n")
    misspelt = run("silence", "add", "playbook=paid_not_resrved", *ask)
    assert misspelt.output.endswith("It fits none of the 1 open incidents.\n")


def test_a_label_that_nothing_has_is_refused_with_the_one_that_was_meant(run: Run) -> None:
    refused = run("silence", "add", "ownr=wms", "--for", "1h", "--reason", "x")
    assert refused.exit_code == 2
    assert (
        "nothing has the label “ownr”, so this would silence nothing: did you mean “owner”?" in refused.output
    )
    assert ids(run) == []
