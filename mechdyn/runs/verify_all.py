"""Every claim put to one model and task: one loaded model, and one store for all traces that claims share."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mechdyn.claims.claim import CLAIMS, get_claim
from mechdyn.runs.command_lines import default_folder
from mechdyn.runs.configs import VerifyConfig
from mechdyn.runs.session import chosen_task
from mechdyn.runs.sweep import SweepResult, sweep
from mechdyn.runs.sweep_plan import SweepRun

_ON_STYLES = "wu2024.reasoning"
"""Asks each question in two styles, so it goes with a task that has styles."""


def claims_on(config: VerifyConfig) -> tuple[str, ...]:
    """The claims that can be put to a config's task, those of installed packages among them."""
    has_styles = hasattr(chosen_task(config), "style")
    return tuple(name for name in CLAIMS.names() if has_styles or name != _ON_STYLES)


def verify_all(
    config: VerifyConfig, out: str | Path | None = None, *, told: Callable[[SweepResult], None] = lambda result: None
) -> list[SweepResult]:
    """Verify each claim; a trace that two of them ask for is run once.

    Run again, it goes on where it stopped. A claim that cannot be judged is told with its reason, and the others go on.

    Args:
        config: what is asked of each claim, whose own `claim` is not looked at; `heads` goes to the claims that take them.
        out: the folder, with a run's folder for each claim in it and `stores/`; `runs/verify-all-MODEL-…` where left out.
        told: called with each result as it comes.
    """
    runs = []
    for name in claims_on(config):
        heads = config.heads if getattr(get_claim(name), "takes_heads", False) else None
        runs.append(SweepRun(replace(config, claim=name, heads=heads)))
    where = Path(out) if out is not None else default_folder("verify-all", config)
    return sweep(runs, where, fail_fast=config.fail_fast, told=told)
