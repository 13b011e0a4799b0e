"""What is in the folders is in the wheel: setup.cfg names each package and each file that is no Python."""

import configparser
import fnmatch
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = configparser.ConfigParser()
CONFIG.read(ROOT / "setup.cfg", encoding="utf-8")
PACKAGES = CONFIG["options"]["packages"].split()
PACKAGE_DIR = {
    name.strip(): ROOT / folder.strip()
    for name, _, folder in (
        line.partition("=") for line in CONFIG["options"]["package_dir"].strip().splitlines()
    )
}


def folder_of(package: str) -> Path:
    top, *rest = package.split(".")
    return PACKAGE_DIR[top].joinpath(*rest)


def files_below(folder: Path) -> list[Path]:
    return [p for p in sorted(folder.rglob("*")) if p.is_file() and "__pycache__" not in p.parts]


def test_every_folder_with_python_files_is_a_package_that_setup_cfg_lists() -> None:
    found = {
        ".".join((top, *path.parent.relative_to(folder).parts))
        for top, folder in PACKAGE_DIR.items()
        for path in files_below(folder)
        if path.suffix == ".py"
    }
    assert sorted(PACKAGES) == sorted(found)
    assert [p for p in PACKAGES if not (folder_of(p) / "__init__.py").is_file()] == []


def test_every_room_in_the_tree_is_mapped() -> None:
    tops = {path.parent for path in ROOT.glob("*/ordertrace_*/__init__.py")}
    tops |= {path.parent for path in ROOT.glob("examples/*/ordertrace_*/__init__.py")}
    assert set(PACKAGE_DIR.values()) == tops


def test_every_file_that_is_no_python_is_package_data() -> None:
    data = {
        package: [g.strip() for g in globs.split(",")]
        for package, globs in CONFIG["options.package_data"].items()
    }
    left = set[str]()
    for top, folder in PACKAGE_DIR.items():
        for path in files_below(folder):
            if path.suffix == ".py":
                continue
            owner = path.parent
            while not (owner / "__init__.py").is_file():
                owner = owner.parent
            package = ".".join((top, *owner.relative_to(folder).parts))
            name = path.relative_to(owner).as_posix()
            globs = data["*"] + data.get(package, [])
            if not any(name.count("/") == g.count("/") and fnmatch.fnmatchcase(name, g) for g in globs):
                left.add(str(path.relative_to(ROOT)))
    assert left == set()


def test_every_package_is_typed_for_those_who_import_it() -> None:
    assert [top for top, folder in PACKAGE_DIR.items() if not (folder / "py.typed").is_file()] == []


@pytest.mark.parametrize("key", ["include", "extraPaths"])
def test_the_type_checker_looks_into_every_room(key: str) -> None:
    pyright = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pyright"]
    named = [ROOT / folder for folder in pyright[key]]
    assert [f for f in PACKAGE_DIR.values() if not any(f.is_relative_to(n) for n in named)] == []


def test_the_tests_find_every_room_without_an_installation() -> None:
    named = {ROOT / folder for folder in CONFIG["tool:pytest"]["pythonpath"].split()}
    assert named == {folder.parent for folder in PACKAGE_DIR.values()}


def test_test_files_have_names_of_their_own() -> None:
    """Without packages, two files of one name are one module to pytest."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
