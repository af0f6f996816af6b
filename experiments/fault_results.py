"""What `make faults` found, as a table: the page docs/fault_results.md from pytest's report.

    python -m experiments.fault_results faults.xml … --out docs/fault_results.md

A test that measures something says it with `record_property("measured", …)` and has a row of its own; the others of a file share one.
Reports of parts that were run by themselves are put together; where two hold the same test, the last named counts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree

import typer

from mechdyn.cli import run_script
from mechdyn.errors import InputError
from mechdyn.evidence import Table
from mechdyn.reports.tables import print_tables, table_markdown


@dataclass(frozen=True)
class Case:
    """One test: its file and name, what became of it, and what it measured."""

    file: str
    name: str
    outcome: str
    measured: str


def read_report(path: Path) -> Iterator[Case]:
    """The tests of a report.

    Raises:
        InputError: no report of pytest.
    """
    try:
        cases = list(ElementTree.parse(path).iter("testcase"))
    except (OSError, ElementTree.ParseError) as error:
        raise InputError(f"{path} is no report of pytest ({error}); write one with --junitxml") from error
    for case in cases:
        outcomes = [name for name in ("failure", "error", "skipped") if case.find(name) is not None]
        measured = [each.get("value", "") for each in case.iter("property") if each.get("name") == "measured"]
        file = case.get("classname", "").rpartition(".")[2]
        yield Case(file, case.get("name", ""), outcomes[0] if outcomes else "passed", "; ".join(measured))


def table_of(cases: Sequence[Case]) -> Table:
    """A row for each test that measured something or did not pass, and one for the other tests of each file."""
    rows = []
    for file, found in groupby(sorted(cases, key=lambda case: case.file), key=lambda case: case.file):
        listed = list(found)
        own = [case for case in listed if case.measured or case.outcome not in ("passed", "skipped")]
        rows += [(_words(case.name), case.outcome, case.measured) for case in own]
        rest = [case for case in listed if case not in own]
        passed = sum(case.outcome == "passed" for case in rest)
        if rest:
            skipped = f", {len(rest) - passed} skipped" if passed < len(rest) else ""
            rows.append((f"{'the others' if own else 'all'} of {file}.py", "passed" if passed else "skipped", f"{passed} tests{skipped}"))
    return Table("", ("test", "outcome", "measured"), tuple(rows))


def _words(name: str) -> str:
    return name.removeprefix("test_").replace("_", " ")


def fault_results(
    reports: Annotated[list[Path], typer.Argument(help="Reports of pytest, in the form xunit1.")],
    out: Annotated[Path, typer.Option(help="The page's table, as Markdown.")],
) -> None:
    """Read the reports, print the table and write it."""
    cases = {(case.file, case.name): case for report in reports for case in read_report(report)}
    table = table_of([*cases.values()])
    print_tables([table])
    out.write_text(
        f"{table_markdown(table).strip()}\n\nWritten {datetime.now(UTC).date()} from the reports of `make faults` and of its parts.\n"
    )


if __name__ == "__main__":
    run_script(fault_results)
