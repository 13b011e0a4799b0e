"""The published test vectors: the code, the JSON file and the page say the same."""

import hashlib
import json
import re
import unicodedata
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordertrace_instrumentation import normalise_order_id, order_trace_id

VECTORS: list[dict[str, Any]] = json.loads(
    files("ordertrace_instrumentation").joinpath("identity_vectors.json").read_text("utf-8")
)["vectors"]
PAGE = Path(__file__).parents[2] / "docs" / "identity.md"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["what"])
def test_the_code_computes_what_is_published(vector: dict[str, Any]) -> None:
    assert normalise_order_id(vector["order_id"]) == vector["normalised"]
    assert order_trace_id(vector["order_id"], vector["namespace"]) == vector["order_trace_id"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["what"])
def test_another_program_gets_there_by_the_rule_as_written(vector: dict[str, Any]) -> None:
    canonical = unicodedata.normalize("NFKC", vector["order_id"]).strip()
    hashed = hashlib.sha256(vector["namespace"].encode() + b"\n" + canonical.encode()).digest()
    assert hashed[:16].hex() == vector["order_trace_id"]


def test_the_page_shows_every_vector() -> None:
    rows = re.findall(
        r"^\| (.+?) \| `(.+?)` \| `(.+?)` \| `([0-9a-f]{32})` \|$", PAGE.read_text("utf-8"), re.M
    )
    shown = [(what, json.loads(order_id), namespace, trace) for what, order_id, namespace, trace in rows]
    assert shown == [(v["what"], v["order_id"], v["namespace"], v["order_trace_id"]) for v in VECTORS]


def test_ids_that_mean_the_same_share_a_trace_and_others_do_not() -> None:
    assert order_trace_id("SO-1") == order_trace_id(" SO-1\t") == order_trace_id("ＳＯ－１")
    assert order_trace_id("SO-1") != order_trace_id("so-1")
    assert order_trace_id("SO-1") != order_trace_id("SO-1", "other")


@given(st.text(), st.text())
def test_any_text_has_a_valid_trace_id_that_normalising_again_does_not_change(
    text: str, namespace: str
) -> None:
    trace = order_trace_id(text, namespace)
    assert re.fullmatch("[0-9a-f]{32}", trace)
    assert order_trace_id(normalise_order_id(text), namespace) == trace
