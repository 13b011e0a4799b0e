"""YAML with the line of each node, and no way to hurt whoever reads it."""

import math
import re
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ordertrace_rules.errors import ConfigError, Problem
from ordertrace_rules.yamlfile import MAX_CHARACTERS, load_yaml, parse_yaml


def problems_of(text: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "site.yaml")
    return caught.value.problems


def test_words_and_times_that_yaml_1_1_would_change_stay_text() -> None:
    document = parse_yaml(
        "on: yes\nno: off\nat: 12:30\nday: 2026-01-31\nsku: 0012\nhex: 0x1F\nbig: 1_000\nnan: .nan\n", "f"
    )
    assert document.data == {
        "on": "yes",
        "no": "off",
        "at": "12:30",
        "day": "2026-01-31",
        "sku": "0012",
        "hex": "0x1F",
        "big": "1_000",
        "nan": ".nan",
    }


def test_numbers_truth_and_null_are_read() -> None:
    document = parse_yaml('[1, -2, 2.5, 1e3, true, false, null, ~, "1", 1e999]', "f")
    assert document.data == [1, -2, 2.5, 1000.0, True, False, None, None, "1", "1e999"]


def test_a_problem_points_to_the_value_else_to_the_key_else_to_the_nearest_above() -> None:
    document = parse_yaml("# shop\nstage: picking # x\nguide:\n  steps:\n    - do: look\n", "f")
    value = document.problem(("stage",), "wrong")
    assert (value.line, value.text, value.column, value.width) == (2, "stage: picking # x", 8, 7)
    assert document.problem(("stage",), "wrong", at_key=True).column == 1
    assert document.problem(("guide", "steps", 0, "do"), "wrong").line == 5
    assert document.problem(("guide",), "wrong").column == 1
    assert document.problem(("guide", "steps", 7, "owner"), "wrong").line == 4
    assert document.line(("nowhere",)) == 2


def test_anchors_and_merge_keys_are_followed_and_what_a_mapping_says_itself_wins() -> None:
    document = parse_yaml("base: &base {owner: wms, target: 2h}\nstage:\n  <<: *base\n  target: 4h\n", "f")
    assert document.data["stage"] == {"owner": "wms", "target": "4h"}
    assert document.line(("stage", "owner")) == 1
    assert document.line(("stage", "target")) == 4


@pytest.mark.parametrize(
    ("text", "line", "shown", "message", "fix"),
    [
        ("a:\n\tb: 1\n", 2, "\tb: 1", "a tab at the beginning", "indent with spaces"),
        ("title: late: very\n", 1, "title: late: very", "a colon where none can be", "in quotes"),
        ("a: b\n  c: d\n", 2, "  c: d", "a field that is indented deeper", "the column of the fields beside"),
        ("a:\n  - b: c\n     d: e\n", 3, "     d: e", "a field that is indented deeper", "beside it"),
        ("- a:\n  - b: c: d\n", 2, "  - b: c: d", "a colon where none can be", "in quotes"),
        ("- a: b\n   c: d\n- e\n", 2, "   c: d", "a field that is indented deeper", "beside it"),
        ("- a:\n    b: c\n   d: e\n", 3, "   d: e", "the indentation fits no level above", "beside it"),
        ("a: [1, 2\n", 1, "a: [1, 2", "“[” is opened here and not closed", "write “]” where it ends"),
        ("a: [1, 2}\n", 1, "a: [1, 2}", "“[” is opened here and not closed", "write “]”"),
        ("a: [1, 2\nb: {c: d}\n", 1, "a: [1, 2", "“[” is opened here and not closed", "before line 2"),
        ("x: 1\na: {b: c\nd:\n  e: f\n", 2, "a: {b: c", "“{” is opened here and not closed", "“}”"),
        ("a: {en: x: y}\n", 1, "a: {en: x: y}", "not told apart by commas", "with a colon"),
        ("a: 'x\n", 1, "a: 'x", "a quote that is opened here and not closed", "close it"),
        ('a: "x\nb: y\n', 1, 'a: "x', "a quote that is opened here and not closed", "close it"),
        ("a: 1\n---\nb: 2\n", 2, "---", "a second document", "split it"),
        ("a: *b\n", 1, "a: *b", "an alias", "define the anchor first"),
        ("a: &a [*a]\n", 1, "a: &a [*a]", "an alias inside", "write the value out"),
        ("a: {<<: 1}\n", 1, "a: {<<: 1}", "“<<” needs a mapping", "<<: *name"),
        ("a: \x00\n", 1, "a: �", "U+0000", "remove it"),
        ("a: `x\n", 1, "a: `x", "cannot begin with", "in quotes"),
        ("", 1, "", "the file is empty", "write its fields"),
        ("# nothing yet\n", 1, "", "the file is empty", "write its fields"),
        ("[" * 5000, 1, "[" * 5000, "nested too deeply", "fewer levels"),
        ("[" * 60 + "]" * 60, 1, "[" * 60 + "]" * 60, "nested more than 40 levels", "fewer levels"),
    ],
)
def test_each_mistake_has_its_line_and_a_way_out(
    text: str, line: int, shown: str, message: str, fix: str
) -> None:
    (problem,) = problems_of(text)
    assert (problem.file, problem.line, problem.text) == ("site.yaml", line, shown)
    assert message in problem.message
    assert fix in problem.fix


@pytest.mark.parametrize(
    ("text", "data", "line", "message", "fix"),
    [
        ("a: 1\nb: 2\na: 3\n", {"a": 1, "b": 2}, 3, "“a” is here twice", "it is on line 1 too"),
        ("a: !!python/object/apply:os.system [x]\n", {"a": ["x"]}, 1, "tag", "without"),
        ("a: !!binary aGk=\n", {"a": "aGk="}, 1, "the tag !!binary is not read", "without"),
        ("a: !!int 5\n", {"a": 5}, 1, "the tag !!int is not read", "without"),
        ("? [a]\n: b\nc: d\n", {"c": "d"}, 1, "a key that is a list", "a single word"),
        ('a: "\\ud800"\n', {"a": "?"}, 1, "half of a surrogate pair", "write the character"),
    ],
)
def test_what_does_not_hinder_reading_on_is_kept_beside_what_was_read(
    text: str, data: object, line: int, message: str, fix: str
) -> None:
    document = parse_yaml(text, "site.yaml")
    (problem,) = document.slips
    assert document.data == data
    assert (problem.file, problem.line, problem.text) == ("site.yaml", line, text.splitlines()[line - 1])
    assert message in problem.message
    assert fix in problem.fix


def test_of_a_key_that_is_there_twice_the_first_counts_and_every_one_is_told() -> None:
    document = parse_yaml("a: 1\na: 2\nb: {c: 1, c: 2}\nd: 4\nd: 5\n", "f")
    assert document.data == {"a": 1, "b": {"c": 1}, "d": 4}
    assert [p.line for p in document.slips] == [2, 3, 5]


@pytest.mark.parametrize("bomb", ["[{}]", "{{<<: [{}]}}"])
def test_an_alias_bomb_is_refused_before_it_goes_off(bomb: str) -> None:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} " + bomb.format(", ".join([f"*a{n - 1}"] * 9)) for n in range(1, 10)]
    started = time.monotonic()
    assert any("aliases" in p.message for p in problems_of("\n".join(lines)))
    assert time.monotonic() - started < 20  # followed to the end it would be 9**9 values


def test_a_file_that_is_not_utf_8_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "gbk.yaml"
    path.write_bytes(b"process: x\ntitle: " + "库存".encode("gbk") + b"\n")
    with pytest.raises(ConfigError) as caught:
        load_yaml(path)
    (problem,) = caught.value.problems
    assert (problem.line, problem.message) == (2, "this is not UTF-8")
    assert "UTF-8" in problem.fix


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: x\r\n")
    document = load_yaml(path)
    assert document.data == {"a": 1, "b": "x"}
    assert document.problem(("b",), "m").text == "b: x"


def test_a_missing_file_and_an_endless_one_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_yaml(tmp_path / "none.yaml")
    assert "longer than" in problems_of("#" * (MAX_CHARACTERS + 1))[0].message


@given(st.text() | st.text(alphabet="ab:-[]{}&*!|>'\"#%@` \n\t\\<,?~0123456789.\r\u2028"))
def test_no_text_whatever_does_more_than_raise_a_config_error(text: str) -> None:
    try:
        document = parse_yaml(text, "f")
    except ConfigError as error:
        for problem in error.problems:
            str(problem).encode()
            assert problem.message
    else:
        document.problem((), "m")


_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?", re.ASCII)  # the writer leaves some without quotes
_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"])).filter(
    lambda text: not _NUMBER.fullmatch(text)
)
_SCALARS = st.none() | st.booleans() | st.integers(-(10**15), 10**15) | _TEXT
_KEYS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=8)
_DATA = st.recursive(
    _SCALARS | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(_DATA)
def test_what_another_writer_wrote_is_read_back(data: object) -> None:
    text = yaml.safe_dump({"data": data}, allow_unicode=True, default_flow_style=None)
    read = parse_yaml(text, "f").data["data"]
    assert read == data or (isinstance(data, float) and math.isclose(float(read), data))


@given(_DATA)
def test_every_node_has_a_place(data: object) -> None:
    document = parse_yaml(yaml.safe_dump({"data": data}, allow_unicode=True), "f")

    def walk(node: object, path: tuple[str | int, ...]) -> None:
        assert path in document.places
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, value in items:
            walk(value, (*path, key))

    walk(document.data, ())
