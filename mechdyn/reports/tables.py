"""Tables for the terminal, for a page and for Markdown: built once, drawn three ways."""

import html
from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mechdyn.stats.resampling import Interval

_PIPED_WIDTH = 200


def table(title: str, *columns: str, caption: str = "", words: bool = False) -> Table:
    """An empty table: the first column wraps where room is short, the others, which hold numbers, never do; `words` wrap in all."""
    built = Table(title=escape(title) or None, caption=escape(caption) or None, title_justify="left", caption_justify="left")
    for index, column in enumerate(columns):
        built.add_column(escape(column), no_wrap=index > 0 and not words, justify="left" if index < 2 or words else "right")
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


@dataclass(frozen=True)
class PlainTable:
    """What a table says, without markup: its header has a name for each cell of a row, `right` says which columns hold numbers."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str
    right: tuple[bool, ...]


def plain(built: Table) -> PlainTable:
    """Read a terminal's table back."""
    columns = [[_unmarked(cell) for cell in column.cells] for column in built.columns]
    return PlainTable(
        title=_unmarked(built.title),
        header=tuple(_unmarked(column.header) for column in built.columns),
        rows=tuple(zip(*columns, strict=True)),
        caption=_unmarked(built.caption),
        right=tuple(column.justify == "right" for column in built.columns),
    )


def table_html(found: PlainTable) -> str:
    """A table with its title as caption, everything escaped; it scrolls by itself on a narrow screen."""
    tags = [' class="number"' if right else "" for right in found.right]
    head = "".join(f'<th scope="col"{tag}>{html.escape(name)}</th>' for tag, name in zip(tags, found.header, strict=True))
    body = "\n".join(
        f'<tr><th scope="row">{html.escape(row[0])}</th>'
        + "".join(f"<td{tag}>{html.escape(cell)}</td>" for tag, cell in zip(tags[1:], row[1:], strict=True))
        + "</tr>"
        for row in found.rows
    )
    title = f"<caption>{html.escape(found.title)}</caption>\n" if found.title else ""
    below = f'\n<p class="caption">{html.escape(found.caption)}</p>' if found.caption else ""
    inside = f"{title}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>"
    return f'<div class="view" tabindex="0"><table>\n{inside}\n</table></div>{below}'


def table_markdown(found: PlainTable) -> str:
    """A pipe table under its title; cells cannot end a row, begin a tag or be taken for markup."""
    lines = [[*map(markdown_text, found.header)], ["---:" if right else "---" for right in found.right]]
    lines += [[*map(markdown_text, row)] for row in found.rows]
    drawn = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n\n".join(part for part in (markdown_text(found.title), drawn, markdown_text(found.caption)) if part)


_MARKDOWN = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_{}[]<>#|~$"} | {"\n": " ", "\r": " ", "&": "&amp;"})


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it stands, in one line."""
    return text.translate(_MARKDOWN)


def _unmarked(text: object) -> str:
    return Text.from_markup(text).plain if isinstance(text, str) else ""
