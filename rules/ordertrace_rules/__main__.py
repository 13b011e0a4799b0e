"""The entry of the `ordertrace` command. A plain installation instruments services and has no command line."""

import sys

try:
    from ordertrace_rules.cli.main import ordertrace
except ModuleNotFoundError as error:
    if error.name is None or error.name.startswith("ordertrace"):
        raise
    _missing = error.name
    ordertrace = None


def main() -> None:
    """Run the command line, or say what to install for it."""
    if ordertrace is None:
        sys.exit(
            f"ordertrace: {_missing} is not installed; the command line needs: pip install 'ordertrace[server]'"
        )
    ordertrace()


if __name__ == "__main__":
    main()
