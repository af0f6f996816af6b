"""Every claim on the bundled models, and on any others: the page docs/verdicts/models.md by one command.

    python -m experiments.model_verdicts                                  # the bundled models: a quarter of an hour on two cores
    python -m experiments.model_verdicts --judged runs/verify-smollm2-135m  # with a run that is there already

Runs are kept under `--out`, go on where they stopped, and are judged again each time.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from mechdyn.claims.meta_analysis import main_quantity
from mechdyn.cli import run_script
from mechdyn.evidence import Outcome, Table, Verdict
from mechdyn.reports.tables import interval_text, table_markdown
from mechdyn.runs.configs import VerifyConfig
from mechdyn.runs.verify import judge_there, verify

MODELS = ("mini", "planted-static", "planted-nested", "planted-dynamic", "planted-step")
CLAIMS = ("dynamism", "irreplaceability", "correlation", "anticipation", "alarm", "wu2024.causal", "wu2024.dynamic", "wu2024.reasoning")
TASKS = {"wu2024.reasoning": "world"}
"""Of claims that cannot be put to needles."""

_PAGE = """# Every claim on the models

Verdicts under the criteria that {{doc}}`/verdicts` explains, preset `quick`, on the bundled models: `mini`, which was trained, and the
controls, whose heads were built (`planted-static` a fixed list, `planted-nested` a fixed ranking of which a varying number is on,
`planted-dynamic` heads by token, `planted-step` heads by step). They show that the instruments work; they say nothing about large models.
A real one is on {{doc}}`/smollm2/index`. This page is made by

    python -m experiments.model_verdicts

{tables}
"""


def model_verdicts(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the runs are kept.")] = Path("runs/model-verdicts"),
    page: Annotated[Path, typer.Option(metavar="FILE", help="The page to write.")] = Path("docs/verdicts/models.md"),
    model: Annotated[list[str] | None, typer.Option(help="A model; may be given more than once.")] = None,
    claim: Annotated[list[str] | None, typer.Option(help="A claim; may be given more than once.")] = None,
    judged: Annotated[list[Path] | None, typer.Option(metavar="RUN", help="A finished run to put beside them.")] = None,
) -> None:
    """Run what is missing, judge all, and write the page."""
    cells = [(each, name) for each in claim or CLAIMS for name in model or MODELS]
    verdicts = [judge_there(run).verdict for run in judged or ()]
    for each, name in tqdm(cells, desc="verdicts", unit="run", disable=None):
        verdicts.append(verify(VerifyConfig(claim=each, model=name, task=TASKS.get(each, "niah")), out / f"{each}-{name}").verdict)
        page.write_text(page_of(verdicts), encoding="utf-8")


def page_of(verdicts: Sequence[Verdict]) -> str:
    """A section a claim: the verdicts of all models, then what decided each of them."""
    claims = dict.fromkeys(verdict.claim for verdict in verdicts)
    sections = ("\n\n".join(_section(name, [each for each in verdicts if each.claim == name])) for name in claims)
    return _PAGE.format(tables="\n\n".join(sections))


def _section(claim: str, verdicts: Sequence[Verdict]) -> Iterator[str]:
    yield f"## {claim}"
    main = [(verdict, main_quantity(verdict)) for verdict in verdicts]
    measured = next((evidence.name for _, evidence in main if evidence is not None), "")
    columns = ("model", "verdict", "beside it", *((measured, "n") if measured else ()))
    rows = tuple(
        (
            verdict.model,
            str(verdict.outcome),
            "; ".join(f"{other.named}: {other.outcome}" for other in verdict.beside) or "–",
            *((interval_text(evidence.interval), str(evidence.interval.n)) if evidence else ("–", "–") if measured else ()),
        )
        for verdict, evidence in main
    )
    yield table_markdown(Table("", columns, rows, numbers=columns[3:])).strip()
    yield "\n".join(f"- **{verdict.model}** {_because(verdict)}" for verdict in verdicts)


def _because(verdict: Verdict) -> str:
    """The criteria that made the outcome what it is; of an inconclusive one those that stood in its way."""
    if verdict.notes and verdict.outcome is Outcome.INCONCLUSIVE and not verdict.supports:
        return verdict.notes[0]
    criteria = {
        Outcome.SUPPORTED: [each for each in verdict.supports if each.met],
        Outcome.REFUTED: [each for each in verdict.refutes if each.met],
        Outcome.INCONCLUSIVE: [each for each in (*verdict.supports, *verdict.refutes) if not each.met],
    }[verdict.outcome]
    return "; ".join(map(str, criteria)) or "; ".join(verdict.notes)


if __name__ == "__main__":
    run_script(model_verdicts)
