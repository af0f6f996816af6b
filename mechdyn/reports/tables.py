"""The three ways to draw a `Table`: for the terminal, for a page, for Markdown. Here its text becomes visible, safe and fitted."""

import html
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from mechdyn.evidence import Table
from mechdyn.stats.interval import Interval
from mechdyn.text import visible

_PIPED_WIDTH = 200
_LEAST_TEXT = 20
"""Columns of text are wrapped, but never to fewer characters than this."""


def interval_text(interval: Interval, note: str = "", spec: str = ".3f") -> str:
    """`0.975 [0.925, 1.000]` for a cell; a value of no sample is undefined."""
    value = f"{interval:{spec}}" if interval.n else "undefined (n = 0)"
    return value + (f" ({note})" if note else "")


def methods_text(intervals: Iterable[Interval], before: str = "") -> str:
    """A caption that says how intervals were made, behind what it says already: `…; intervals: Wilson, BCa bootstrap`."""
    methods = dict.fromkeys(interval.method for interval in intervals if interval.method)
    return "; ".join(part for part in (before, f"intervals: {', '.join(methods)}" if methods else "") if part)


def output(console: Console | None = None) -> Console:
    """The console to print to; wide when piped, unless COLUMNS says how wide."""
    console = console or Console()
    return console if console.is_terminal or os.environ.get("COLUMNS", "").isdigit() else Console(width=_PIPED_WIDTH)


def print_tables(tables: Iterable[Table], console: Console | None = None) -> None:
    """Print tables one below the other, each fitted to the terminal."""
    console = output(console)
    for each in tables:
        console.print(terminal_table(each, console.width))


def terminal_table(table: Table, width: int) -> RenderableType:
    """A table for a terminal of so many characters. No cell is ever cut, and no number stands without its label.

    Where room is short, in this order: headings are wrapped; droppable columns are left out, the last first, and a line says which; the
    bounds of an interval go below its value; text is wrapped; at last each row becomes a block with a line for each column.
    """
    columns = _columns(table)
    fitting = ((kept, widths) for kept, widths in _layouts(columns, width) if _fits(widths, width))
    kept, widths = next(fitting, ([column for column in columns if not column.droppable], None))
    names = {column.heading for column in kept}
    dropped = [column.heading for column in columns if column.heading not in names]
    parts = [_grid(table, kept, widths) if widths else _blocks(table, kept)]
    if dropped:
        note = f"Left out for want of room: {', '.join(dropped)}. A wider terminal shows them, and so does the report of the run."
        parts.append(Text(note, style="dim"))
    return Group(*parts)


TABLE_STYLE = """
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 4px 0; }
th, td { text-align: left; font-weight: 400; padding: 3px 10px 3px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
thead th { font-weight: 600; border-bottom: 2px solid var(--muted); vertical-align: bottom; }
td, thead th:not(:first-child) { white-space: nowrap; }
tbody th { min-width: min(16em, 32vw); }
tbody th.short { min-width: 0; }
th.number, td.number { text-align: right; }
p.caption { color: var(--muted); margin: 2px 0 12px; }
@media (max-width: 700px) { table, p.caption { font-size: 13px; } }
"""
"""For pages with tables, in the colours of the page."""

_SHORT = 14
"""Letters of a row's name that are kept on one line of a page."""


def table_html(table: Table) -> str:
    """A table with its title as caption, everything escaped; it scrolls by itself on a narrow screen."""
    tags = [' class="number"' if name in table.numbers else "" for name in table.columns]
    head = "".join(f'<th scope="col"{tag}>{html_text(name)}</th>' for tag, name in zip(tags, table.columns, strict=True))
    short = max((len(row[0]) for row in table.rows), default=0) <= _SHORT
    first = tags[0] or (' class="short"' if short else "")
    body = "\n".join(
        f'<tr><th scope="row"{first}>{html_text(row[0])}</th>'
        + "".join(f"<td{tag}>{html_text(cell)}</td>" for tag, cell in zip(tags[1:], row[1:], strict=True))
        + "</tr>"
        for row in table.rows
    )
    title = f"<caption>{html_text(table.title)}</caption>\n" if table.title else ""
    below = f'\n<p class="caption">{html_text(table.caption)}</p>' if table.caption else ""
    inside = f"{title}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>"
    return f'<div class="view" tabindex="0"><table>\n{inside}\n</table></div>{below}'


def table_markdown(table: Table) -> str:
    """A pipe table under its title; cells cannot end a row, begin a tag or be taken for markup."""
    lines = [[*map(markdown_text, table.columns)], ["---:" if name in table.numbers else "---" for name in table.columns]]
    lines += [[*map(markdown_text, row)] for row in table.rows]
    drawn = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n\n".join(part for part in (markdown_text(table.title), drawn, markdown_text(table.caption)) if part)


_MARKDOWN = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_{}[]<>#|~$"} | {"&": "&amp;"})


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it stands, in one line."""
    return visible(text).translate(_MARKDOWN)


def html_text(text: str) -> str:
    """Text that HTML shows as it stands, in an element or a quoted attribute."""
    return html.escape(visible(text))


@dataclass(frozen=True)
class _Column:
    """One column of a terminal's table, its text visible."""

    heading: str
    cells: tuple[str, ...]
    is_number: bool
    droppable: bool

    def width(self, *, whole_heading: bool) -> int:
        """Of its longest line; a heading may be wrapped to its words."""
        heading = [self.heading] if whole_heading else self.heading.split()
        return max((cell_len(line) for text in (*heading, *self.cells) for line in text.split("\n")), default=0)

    def stacked(self) -> "_Column":
        """The bounds of every interval below its value."""
        return replace(self, cells=tuple(cell.replace(" [", "\n[") for cell in self.cells)) if self.is_number else self


def _columns(table: Table) -> list[_Column]:
    cells = [tuple(visible(row[place]) for row in table.rows) for place in range(len(table.columns))]
    return [
        _Column(visible(name), texts, name in table.numbers, name in table.droppable)
        for name, texts in zip(table.columns, cells, strict=True)
    ]


def _layouts(columns: Sequence[_Column], width: int) -> Iterator[tuple[list[_Column], list[int]]]:
    """Ways to lay a table out, the roomiest first: the columns that are shown, and the width of each."""
    kept = list(columns)
    yield kept, [column.width(whole_heading=True) for column in kept]
    yield kept, [column.width(whole_heading=False) for column in kept]
    for dropped in reversed([column for column in columns if column.droppable]):
        kept = [column for column in kept if column is not dropped]
        yield kept, [column.width(whole_heading=False) for column in kept]
    stacked = [column.stacked() for column in kept]
    widths = [column.width(whole_heading=False) for column in stacked]
    yield stacked, widths
    yield stacked, _narrowed(stacked, widths, width)


def _fits(widths: Sequence[int], width: int) -> bool:
    """Whether columns have room, each with a space to either side and a line between it and the next."""
    return sum(widths) + 3 * len(widths) + 1 <= width


def _narrowed(columns: Sequence[_Column], widths: Sequence[int], width: int) -> list[int]:
    """What is missing, taken from the widest columns of text; it may still not be enough."""
    narrowed = list(widths)
    soft = [place for place, column in enumerate(columns) if not column.is_number and narrowed[place] > _LEAST_TEXT]
    while soft and not _fits(narrowed, width):
        widest = max(soft, key=lambda place: narrowed[place])
        narrowed[widest] -= 1
        soft = [place for place in soft if narrowed[place] > _LEAST_TEXT]
    return narrowed


def _grid(table: Table, columns: Sequence[_Column], widths: Sequence[int]) -> Grid:
    drawn = Grid(title=_line(table.title), caption=_line(table.caption), title_justify="left", caption_justify="left")
    for column, width in zip(columns, widths, strict=True):
        drawn.add_column(Text(column.heading), width=width, justify="right" if column.is_number else "left", overflow="fold")
    for row in zip(*(column.cells for column in columns), strict=True):
        drawn.add_row(*map(Text, row))
    return drawn


def _blocks(table: Table, columns: Sequence[_Column]) -> RenderableType:
    """A block for each row: its label, then a line for each other column."""
    parts: list[RenderableType | None] = [_line(table.title), Text(columns[0].heading)]
    for label, *cells in zip(*(column.cells for column in columns), strict=True):
        lines = Grid.grid(padding=(0, 2, 0, 0))
        for column, cell in zip(columns[1:], cells, strict=True):
            lines.add_row(Text(column.heading), Text(cell))
        parts += [Text(label, style="bold"), Padding(lines, (0, 0, 0, 2))]
    return Group(*(part for part in (*parts, _line(table.caption)) if part is not None))


def _line(text: str) -> Text | None:
    return Text(visible(text), style="italic") if text else None
