"""Who does something, as they named themselves."""

from werkzeug.exceptions import BadRequest

LONGEST_NAME = 100  # characters


def name_of_person(given: object) -> str:
    """Raises BadRequest."""
    name = given.strip() if isinstance(given, str) else ""
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise BadRequest(f"by: say who you are, in one line of 1 to {LONGEST_NAME} characters.")
    return name
