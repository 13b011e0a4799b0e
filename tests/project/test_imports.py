"""Imports go one way, stand at the top, and name nothing that setup.cfg does not bring."""

import ast
import configparser
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = {
    "ordertrace_instrumentation": ROOT / "instrumentation",
    "ordertrace_alerting": ROOT / "alerting",
    "ordertrace_rules": ROOT / "rules",
    "ordertrace_shop": ROOT / "examples" / "shop",
}
ALLOWED = {
    "ordertrace_instrumentation": set[str](),
    "ordertrace_alerting": set[str](),
    "ordertrace_rules": {
        "ordertrace_alerting",
        "ordertrace_instrumentation.vocabulary",
        "ordertrace_instrumentation.identity",
    },
    "ordertrace_shop": {"ordertrace_instrumentation"},
}
DEMO = ROOT / "rules" / "ordertrace_rules" / "cli" / "demo.py"
"""The one module of the rules that may know the shop: the command that shows it."""

OPTIONAL = {
    "aiohttp": "aiohttp.py",
    "asgiref": "django.py",
    "celery": "celery.py",
    "confluent_kafka": "confluent_kafka.py",
    "django": "django.py",
    "ecs_logging": "ecs_logging.py",
    "flask": "flask.py",
    "httpx": "httpx.py",
    "kafka": "kafka_python.py",
    "kombu": "kombu.py",
    "loguru": "loguru.py",
    "opentelemetry.instrumentation": "opentelemetry.py",
    "opentelemetry.sdk": "otlp.py spans.py",
    "pika": "pika.py",
    "pythonjsonlogger": "json_logger.py",
    "requests": "requests.py",
    "starlette": "starlette.py",
    "structlog": "structlog.py",
}
"""What the shim does not need, and the module of it that imports it."""

SHIM_EXTRAS = (
    "",
    "flask",
    "django",
    "fastapi",
    "requests",
    "httpx",
    "aiohttp",
    "otlp",
    "structlog",
    "loguru",
    "ecs-logging",
    "json-logger",
    "celery",
    "confluent",
    "opentelemetry",
    "kafka",
    "pika",
)

PROVIDED_BY = {
    "confluent_kafka": "confluent-kafka",
    "kafka": "kafka-python",
    "ecs_logging": "ecs-logging",
    "fluent": "fluent-logger",
    "markdown_it": "markdown-it-py",
    "markupsafe": "flask",
    "opentelemetry": "opentelemetry-api",
    "openapi_spec_validator": "openapi-spec-validator",
    "google.protobuf": "protobuf",
    "opentelemetry.proto": "opentelemetry-proto",
    "opentelemetry.exporter": "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry.instrumentation": "opentelemetry-instrumentation",
    "opentelemetry.sdk": "opentelemetry-sdk",
    "pythonjsonlogger": "python-json-logger",
    "prometheus_client": "prometheus-client",
    "werkzeug": "flask",
    "xdist": "pytest-xdist",
    "yaml": "pyyaml",
}
"""Imports whose distribution has another name, or that Flask documents as parts of it."""

FILES = [(room, path) for room, root in ROOMS.items() for path in sorted((root / room).rglob("*.py"))]


def name_of(item: object) -> str:
    return str(item.relative_to(ROOT)) if isinstance(item, Path) else str(item)


def imports(path: Path) -> Iterator[tuple[str, ast.stmt]]:
    """Every module that a file imports, as `package.module`; of `from package import name` both readings."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} is relative: name the module in full"
            assert node.module
            yield from ((f"{node.module}.{alias.name}", node) for alias in node.names)


def lies_in(module: str, allowed: set[str]) -> bool:
    return any(module == name or module.startswith(name + ".") for name in allowed)


def is_first_party(module: str) -> bool:
    return module.partition(".")[0] in ROOMS


@pytest.mark.parametrize(("room", "path"), FILES, ids=name_of)
def test_a_room_imports_only_the_rooms_below_it(room: str, path: Path) -> None:
    allowed = {room} | ALLOWED[room] | ({"ordertrace_shop"} if path == DEMO else set[str]())
    strays = {
        module for module, _ in imports(path) if is_first_party(module) and not lies_in(module, allowed)
    }
    assert strays == set()


@pytest.mark.parametrize(("room", "path"), FILES, ids=name_of)
def test_imports_stand_at_the_top_of_their_module(room: str, path: Path) -> None:
    """At the top, or under a `try` or `if TYPE_CHECKING` at the top: never inside a function or a class."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    scopes = [
        n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]
    inside = {
        f"line {node.lineno}"
        for scope in scopes
        for node in ast.walk(scope)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert inside == set()


def requirements() -> dict[str, set[str]]:
    """The distributions that each extra brings, with those of the extras it names; "" is the plain installation."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    lists = {"": parser["options"]["install_requires"], **parser["options.extras_require"]}
    brought: dict[str, set[str]] = {}
    for extra, text in lists.items():
        names = set[str]()
        for line in filter(None, text.splitlines()):
            name, inner = re.fullmatch(r"([\w-]+)(?:\[(.+)\])?.*", line.strip()).groups()  # pyright: ignore
            if name == "ordertrace":
                names |= set().union(*(brought[each.strip()] for each in inner.split(",")))
            else:
                names.add(name.lower())
        brought[extra] = names
    return brought


def distribution(module: str) -> str:
    """The distribution that brings a module."""
    parts = module.split(".")
    named = [".".join(parts[:length]) for length in (2, 1)]
    return next((PROVIDED_BY[name] for name in named if name in PROVIDED_BY), parts[0])


def is_third_party(module: str) -> bool:
    return module.partition(".")[0] not in sys.stdlib_module_names and not is_first_party(module)


def wanted_by(room: str) -> set[str]:
    paths = [path for owner, path in FILES if owner == room]
    return {distribution(module) for path in paths for module, _ in imports(path) if is_third_party(module)}


@pytest.mark.parametrize(
    ("room", "extras"),
    [
        ("ordertrace_instrumentation", SHIM_EXTRAS),
        ("ordertrace_alerting", ("", "server")),
        ("ordertrace_rules", ("", "server")),
        ("ordertrace_shop", ("", "demo")),
    ],
)
def test_what_a_room_imports_is_declared_for_it(room: str, extras: tuple[str, ...]) -> None:
    brought = requirements()
    assert wanted_by(room) - set().union(*(brought[extra] for extra in extras)) == set()


def test_no_dependency_is_declared_that_nothing_imports() -> None:
    brought = requirements()
    used = set().union(*(wanted_by(room) for room in ROOMS))
    assert set().union(*(brought[extra] for extra in ("server", *SHIM_EXTRAS))) - used == set()


def test_what_tests_and_benchmarks_import_is_declared_for_them() -> None:
    paths = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "bench").rglob("*.py")]
    local = {"tests", *(path.stem for path in paths)}
    wanted = {module for path in paths for module, _ in imports(path) if is_third_party(module)}
    brought = requirements()["test"] | requirements()[""]
    assert {m for m in wanted if m.partition(".")[0] not in local and distribution(m) not in brought} == set()


def test_every_dependency_has_its_reason_in_the_docs() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").lower()
    named = set().union(*requirements().values())
    assert {name for name in named if f"`{name}`" not in page} == set()


@pytest.mark.parametrize(("optional", "file"), OPTIONAL.items())
def test_the_shim_imports_an_optional_library_in_one_module_alone(optional: str, file: str) -> None:
    importers = {
        path.name
        for room, path in FILES
        if room == "ordertrace_instrumentation"
        for module, _ in imports(path)
        if lies_in(module, {optional})
    }
    assert importers == set(file.split())


def test_the_plain_import_of_the_shim_reaches_no_optional_module() -> None:
    """Followed from `ordertrace_instrumentation/__init__.py` through its own modules."""
    by_name = {
        ".".join(path.relative_to(ROOMS[room]).with_suffix("").parts).removesuffix(".__init__"): path
        for room, path in FILES
        if room == "ordertrace_instrumentation"
    }
    reached, waiting = set[str](), ["ordertrace_instrumentation"]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        for module, _ in imports(by_name[name]):
            waiting += [m for m in (module, module.rpartition(".")[0]) if m in by_name]
    optional = {name for name, path in by_name.items() if path.name in " ".join(OPTIONAL.values()).split()}
    assert optional and not reached & optional
