"""What the text of the configuration holds; for this no Fluentd is needed."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "collector-config" / "fluentd"
FILES = sorted(CONFIG.rglob("*.conf"))
PAGE = (ROOT / "docs" / "fluentd.md").read_text(encoding="utf-8")
TEXT = {file: file.read_text(encoding="utf-8") for file in FILES}
ALL = "\n".join(TEXT.values())
VARIABLE = re.compile(r"ENV(?:\.fetch\(|\[)['\"]([A-Z_]+)['\"]")
OUTPUT = TEXT[CONFIG / "parts" / "elasticsearch.conf"]


def name_of(file: Path) -> str:
    return str(file.relative_to(CONFIG))


def settings(text: str) -> dict[str, str]:
    """`name value` of each line that is one, comments left out; the last of a name counts."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.split(maxsplit=1) for line in lines if line and not line.startswith(("#", "<")))
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def test_every_include_names_a_file_and_every_part_is_included() -> None:
    main = TEXT[CONFIG / "fluent.conf"]
    named = set(re.findall(r"^\s*@include (parts/\S+)$", main, re.M))
    assert '@include "parts/forward_tls_#{' in main
    named |= {"parts/forward_tls_on.conf", "parts/forward_tls_off.conf"}
    assert named == {name_of(file) for file in FILES} - {"fluent.conf"}


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_every_part_begins_with_what_it_is_for(file: Path) -> None:
    first = TEXT[file].splitlines()[0]
    assert first.startswith("# ") and len(first) > 40


def test_every_variable_is_in_the_page_and_the_page_names_no_other() -> None:
    used = set(VARIABLE.findall(ALL))
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.M))
    assert documented == used
    assert len(used) > 20


def test_the_defaults_in_the_page_are_those_of_the_configuration() -> None:
    written = dict(re.findall(r"ENV\[['\"]([A-Z_]+)['\"]\] \|\| ['\"]([^'\"]*)['\"]", ALL))
    shown = dict(re.findall(r"^\| `([A-Z_]+)` \| `([^`]*)` \|", PAGE, re.M))
    assert {name: shown.get(name) for name in written} == written


def test_every_plugin_has_an_id_of_its_own() -> None:
    blocks = re.findall(
        r"^\s*<(?:source|filter \S+|match \S+)>\n(?:\s*#.*\n)*\s*@type \S+\n\s*@id (\S+)", ALL, re.M
    )
    plugins = re.findall(r"^\s*<(?:source|filter \S+|match \S+)>$", ALL, re.M)
    assert len(blocks) == len(plugins) == len(set(blocks))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("@type", "file"),  # the buffer's, which is the last
        ("id_key", "\"$['event.id']\""),
        ("emit_error_for_missing_id", "true"),
        ("write_operation", "create"),
        ("verify_es_version_at_startup", "false"),
        ("default_elasticsearch_version", "8"),
        ("suppress_type_name", "true"),
        ("log_es_400_reason", "true"),
        ("flush_thread_interval", "0.1"),
        ("flush_thread_burst_interval", "0.05"),
        ("overflow_action", "block"),
        ("retry_forever", "true"),
    ],
)
def test_the_output_is_set_so_that_nothing_is_lost_or_doubled(name: str, value: str) -> None:
    assert settings(OUTPUT)[name] == value


@pytest.mark.parametrize("name", ["remove_keys", "validate_client_version", "custom_headers"])
def test_the_output_has_none_of_what_hides_errors_or_is_refused(name: str) -> None:
    assert name not in settings(OUTPUT)


def test_the_output_writes_into_the_stream_of_the_namespace() -> None:
    assert "@type elasticsearch\n" in OUTPUT
    index = settings(OUTPUT)["index_name"]
    assert index == "\"logs-ordertrace.events-#{ENV['ORDERTRACE_ES_NAMESPACE'] || 'default'}\""


def test_records_are_changed_by_ruby_that_keeps_types() -> None:
    """Without auto_typecast a record with no order would get an empty `order.trace_id`."""
    transformers = re.findall(r"@type record_transformer\n(.*?)<record>", ALL, re.S)
    assert len(transformers) >= 5
    for transformer in transformers:
        assert "enable_ruby true\n" in transformer and "auto_typecast true\n" in transformer


def test_no_secret_has_a_default() -> None:
    secrets = [v for v in VARIABLE.findall(ALL) if re.search("PASSWORD|KEY$|KEY_FILE|API", v)]
    defaults = re.findall(r"ENV\['([A-Z_]+)'\] \|\| '", ALL)
    assert set(secrets) & set(defaults) == {"FLUENTD_TLS_KEY"}  # a path
