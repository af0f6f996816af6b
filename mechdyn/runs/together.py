"""Finished runs read back together: their verdicts, and each claim and task over models."""

from collections.abc import Sequence
from pathlib import Path

from mechdyn.claims.meta_analysis import Together, together
from mechdyn.errors import InputError
from mechdyn.evidence import Verdict
from mechdyn.runs.contents import Judged, Strategies
from mechdyn.runs.read import read_run


def read_together(paths: Sequence[str | Path], *, again: bool = True) -> tuple[list[Verdict], list[Together]]:
    """The verdicts of finished runs, and each claim and task over models.

    Raises:
        InputError: no claim and task with verdicts on two models.
        StoreError: as `read_run` has it.
    """
    runs = [read_run(path, again=again) for path in paths]
    judged = [(run.task.name, run.content.verdict) for run in runs if isinstance(run.content, Judged | Strategies) and run.content.verdict]
    tasks = dict.fromkeys(task for task, _ in judged)
    found = [each for task in tasks for each in together([verdict for name, verdict in judged if name == task])]
    if not found:
        raise InputError(
            f"models are taken together where one claim has verdicts on two or more of them on one task, got {len(judged)} verdicts in "
            f"{len(runs)} runs; name more runs of mechdyn verify"
        )
    return [verdict for _, verdict in judged], found
