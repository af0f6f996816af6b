"""Tables for the terminal."""

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mechdyn.stats.resampling import Interval

_PIPED_WIDTH = 200


def table(title: str, *columns: str, caption: str = "") -> Table:
    """An empty table: the first column wraps where room is short, the others, which hold numbers, never do."""
    built = Table(title=title, caption=caption or None, title_justify="left", caption_justify="left")
    for index, column in enumerate(columns):
        built.add_column(column, no_wrap=index > 0, justify="left" if index < 2 else "right")
    return built


def interval_text(interval: Interval, note: str = "", spec: str = ".3f") -> str:
    """`0.975 [0.925, 1.000]`, escaped, since rich takes `[nan, nan]` for markup; a value of no sample is undefined."""
    value = f"{interval:{spec}}" if interval.n else "undefined (n = 0)"
    return escape(value + (f" ({note})" if note else ""))


def output(console: Console | None = None) -> Console:
    """The console to print to; wide and unwrapped when piped."""
    console = console or Console()
    return console if console.is_terminal else Console(width=_PIPED_WIDTH)


def print_tables(tables: Iterable[Table]) -> None:
    """Print tables one below the other."""
    console = output()
    for each in tables:
        console.print(each)
