"""What the demo shows while it runs: rich on a terminal, plain lines elsewhere."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn


class Screen:
    """Tells how the demo is getting on. Everything that is not the result goes to `console`."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def say(self, text: str, style: str = "") -> None:
        """One line as it is: nothing in it is markup."""
        self.console.print(text, style=style or None, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def working(self, title: str) -> Generator[None]:
        """Something that takes a while, and nobody knows how long."""
        if not self.console.is_terminal:
            self.say(f"{title} …")
            yield
            return
        with self.console.status(title):
            yield
        self.say(f"✓ {title}")

    @contextmanager
    def counting(self, title: str, total: int) -> Generator[Callable[[str], None]]:
        """Something in `total` steps; call the yielded function after each, with what there is to say of it."""
        if not self.console.is_terminal:
            self.say(f"{title} …")
            yield lambda note: None
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TextColumn("{task.fields[note]}"), console=self.console) as progress:
            task = progress.add_task(title, total=total, note="")
            yield lambda note: progress.update(task, advance=1, note=note)
