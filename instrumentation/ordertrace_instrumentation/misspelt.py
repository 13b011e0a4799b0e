"""Environment variables that nobody reads, though they look like one of ours."""

import difflib
from collections.abc import Iterable, Iterator

_PREFIX, _FILE = "ORDERTRACE_", "_FILE"
_ALIKE = 0.8  # of the name behind the prefix
_SLIPS = 2  # characters missing or too many; settings of shim and rules are further apart from each other


def misspelt_variables(environment: Iterable[str], known: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each variable that is none of `known` but close to one of them, with that one."""
    names = {name.removeprefix(_PREFIX): name for name in known if name.startswith(_PREFIX)}
    for variable in sorted(environment):
        name = variable.removeprefix(_PREFIX)
        if variable.startswith(_PREFIX) and name.removesuffix(_FILE) not in names and name not in names:
            alike = [known for known in names if abs(len(known) - len(name)) <= _SLIPS]
            for near in difflib.get_close_matches(name, alike, n=1, cutoff=_ALIKE):
                yield variable, names[near]
