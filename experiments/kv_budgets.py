"""Caches that follow the step: `python -m experiments.kv_budgets --model mini --picture FILE.svg` makes the numbers and curve of docs.

It is `mechdyn verify step_budgets`: 1 to 50 % of the prompt under eight ways to deal a budget out, and the verdict. Run again with the same
`--out`, it goes on where it stopped. The picture needs the extra [images].
"""

from pathlib import Path
from typing import Annotated

import typer

from mechdyn.claims.step_budgets import LOSS
from mechdyn.cli import run_script
from mechdyn.cli.options import OutOption, takes
from mechdyn.reports.kv_budgets import budget_curves
from mechdyn.reports.verdict import print_verdict
from mechdyn.runs.configs import VerifyConfig
from mechdyn.runs.verify import verify


@takes(VerifyConfig, claim="step_budgets")
def kv_budgets(
    config: VerifyConfig,
    out: OutOption = None,
    picture: Annotated[Path | None, typer.Option(help="Where to draw the curve of loss against size.")] = None,
) -> None:
    """Run, judge, print and draw."""
    verified = verify(config, out)
    print_verdict(verified.verdict)
    curves = budget_curves(verified.verdict, verified.traces)
    if picture is not None and curves:
        curves[LOSS].write_image(picture, width=860)
        print(f"picture  {picture}")


if __name__ == "__main__":
    run_script(kv_budgets)
