"""Tables read back from a page and from Markdown, by parsers that know nothing of how they were written."""

import re
from html.parser import HTMLParser

Rows = list[list[str]]


class _Tables(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tables: list[Rows] = []
        self._cell: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None:
            self.tables[-1][-1].append("".join(self._cell))
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)


def html_tables(text: str) -> list[Rows]:
    """Every table of a page: rows of cells, the header first."""
    parser = _Tables()
    parser.feed(text)
    return parser.tables


def markdown_tables(text: str) -> list[Rows]:
    """Every pipe table, as `html_tables`."""
    tables: list[Rows] = []
    inside = False
    for line in text.splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        cells = [_unescaped(cell.strip()) for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not inside:
            tables.append([])
        if not all(re.fullmatch("-{3}:?", cell) for cell in cells):
            tables[-1].append(cells)
        inside = True
    return tables


def numbers(text: str) -> list[float]:
    """The numbers of `0.975 [0.925, 1.000]`, whatever stands behind them left out."""
    return [float(number) for number in re.findall(r"-?\d+\.\d+|nan", text.partition("(")[0])]


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text).replace("&amp;", "&")
