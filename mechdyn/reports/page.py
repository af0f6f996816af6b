"""A report as one page that works offline and prints, and as Markdown."""

from collections.abc import Iterator, Sequence
from itertools import count

from mechdyn.evidence import Table
from mechdyn.reports.sections import Report, Section
from mechdyn.reports.tables import TABLE_STYLE, html_text, markdown_text, table_html, table_markdown
from mechdyn.text import visible
from mechdyn.views.html import Html
from mechdyn.views.page import document, drawn, joined

NOT_RUN = "What was not run"
MADE = "What made this"

_STYLE = f"""
{TABLE_STYLE}
.made td {{ white-space: normal; overflow-wrap: anywhere; }}
#verdicts tbody th {{ min-width: 9em; }}
#verdicts td:nth-of-type(4) {{ font-weight: 600; }}
pre {{ background: var(--below-0); padding: 8px 10px; overflow-x: auto; margin: 4px 0 12px; font-size: 14px; }}
nav ol, ul {{ padding-left: 22px; }}
ul.remarks li {{ overflow-wrap: anywhere; }}
ul.remarks li.beside {{ margin-left: 22px; list-style: circle; }}
section {{ margin-top: 28px; }}
h3 {{ font-size: 15px; margin: 16px 0 4px; }}
@media print {{
  nav {{ display: none; }}
  body {{ max-width: none; padding: 0; font-size: 11pt; }}
  .view {{ overflow: visible; }}
  pre {{ white-space: pre-wrap; }}
  td, thead th:not(:first-child) {{ white-space: normal; }}
  h2, h3, caption {{ break-after: avoid; }}
  .figure, tr {{ break-inside: avoid; }}
}}
"""
_BESIDE = ' class="beside"'
# Figures take the paper's width when the page is printed.
_PRINT = """
const fit = printing => {
  for (const plot of document.querySelectorAll(".js-plotly-plot")) {
    const box = plot.closest(".view > div");
    if (printing) box.dataset.least = box.style.minWidth;
    box.style.minWidth = printing ? "0" : box.dataset.least;
    Plotly.Plots.resize(plot);
  }
};
addEventListener("beforeprint", () => fit(true));
addEventListener("afterprint", () => fit(false));
"""


def report_html(report: Report, dark: bool | None = None) -> str:
    """The page: verdicts, contents, a section for each table and figure, what was not run, what made it.

    It is dark or light as asked; left out, it follows what the reader's system asks for.
    """
    contents = [*(section.heading for section in report.sections), NOT_RUN, MADE]
    links = "\n".join(f'<li><a href="#part-{index}">{html_text(name)}</a></li>' for index, name in enumerate(contents))
    numbers = count()
    closing = [(NOT_RUN, (report.missing,)), (MADE, report.manifests)]
    parts = [
        Html(f'<main><section id="verdicts">{table_html(report.verdicts)}</section>' if report.verdicts else "<main>"),
        Html(f'<nav aria-label="contents"><ol>\n{links}\n</ol></nav>'),
        *(_section_html(f"part-{index}", section, numbers, dark) for index, section in enumerate(report.sections)),
        *(_tables_html(f"part-{index}", *part) for index, part in enumerate(closing, start=len(report.sections))),
        Html(f"</main>\n<script>{_PRINT}</script>", (_PRINT,)),
    ]
    return document(joined(parts), report.title, dark=dark, style=_STYLE)


def report_markdown(report: Report, page: str) -> str:
    """The same in Markdown; figures are links into `page`, the name of the HTML file beside it."""
    numbers = count()
    parts = [
        f"# {markdown_text(report.title)}",
        *([table_markdown(report.verdicts)] if report.verdicts else []),
        *(_section_markdown(section, page, numbers) for section in report.sections),
        f"## {NOT_RUN}",
        table_markdown(report.missing),
        f"## {MADE}",
        *map(table_markdown, report.manifests),
    ]
    return "\n\n".join(parts) + "\n"


def _section_html(name: str, section: Section, numbers: Iterator[int], dark: bool | None) -> Html:
    remarks = "\n".join(f"<li{_BESIDE if _indented(remark) else ''}>{html_text(remark.strip())}</li>" for remark in section.remarks)
    figures = [
        joined([Html(f'<div class="figure" id="view-{index}"><h3>{html_text(title)}</h3>'), drawn(index, figure, dark), Html("</div>")])
        for (title, figure), index in zip(section.figures.items(), numbers, strict=False)
    ]
    parts = [
        f'<section id="{name}"><h2>{html_text(section.heading)}</h2>',
        f"<pre>{html_text(section.command)}</pre>",
        *map(table_html, section.tables),
        *([f'<ul class="remarks">\n{remarks}\n</ul>'] if remarks else []),
    ]
    return joined([*map(Html, parts), *figures, Html("</section>")])


def _indented(remark: str) -> bool:
    """Whether a remark belongs to the one above it: a criterion of a verdict that stands beside another."""
    return remark.startswith("  ")


def _tables_html(name: str, heading: str, tables: Sequence[Table]) -> Html:
    drawn_tables = "\n".join(map(table_html, tables))
    return Html(f'<section id="{name}" class="made"><h2>{heading}</h2>\n{drawn_tables}</section>')


def _section_markdown(section: Section, page: str, numbers: Iterator[int]) -> str:
    links = [f"[{markdown_text(title)}]({page}#view-{index})" for title, index in zip(section.figures, numbers, strict=False)]
    parts = [
        f"## {markdown_text(section.heading)}",
        f"    {visible(section.command)}",
        *map(table_markdown, section.tables),
        "\n".join(f"{'  ' if _indented(remark) else ''}- {markdown_text(remark.strip())}" for remark in section.remarks),
        f"Figures: {', '.join(links)}" if links else "",
    ]
    return "\n\n".join(part for part in parts if part)
