"""Caches that follow the step: `python -m experiments.kv_budgets --model mini --picture FILE.svg` makes the numbers and curve of docs.

It is `mechdyn verify step_budgets`: 1 to 50 % of the prompt under eight ways to deal a budget out, and the verdict. Below it stands what is
lost before the needle's last token and behind it, which no criterion asks for. Run again with the same `--out`, it goes on where it
stopped. The picture needs the extra [images].
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from jaxtyping import Int

from mechdyn.claims.step_budgets import LOSS
from mechdyn.cli import run_script
from mechdyn.cli.options import OutOption, takes
from mechdyn.evidence import Table
from mechdyn.reports.kv_budgets import budget_points
from mechdyn.reports.tables import interval_text, print_tables
from mechdyn.reports.verdict import print_verdict
from mechdyn.runs.configs import VerifyConfig
from mechdyn.runs.verify import verify
from mechdyn.studies.kv_budgets import BUDGETS_ROLE, JUDGED, CacheLosses, Losses, PerSample
from mechdyn.traces.budgets import STATIC, CacheShare
from mechdyn.traces.clusters import trace_clusters
from mechdyn.traces.trace import Trace
from mechdyn.views.kv_budgets import kv_budgets as curves

_FEWEST = 20


@takes(VerifyConfig, claim="step_budgets")
def kv_budgets(
    config: VerifyConfig,
    out: OutOption = None,
    picture: Annotated[Path | None, typer.Option(help="Where to draw the curve of loss against size.")] = None,
) -> None:
    """Run, judge, print and draw."""
    verified = verify(config, out)
    print_verdict(verified.verdict)
    print_tables(parts_tables(CacheLosses(verified.traces.get(BUDGETS_ROLE, ()), config.seed).traces, config.seed))
    if picture is not None and (points := budget_points(verified.verdict)):
        curves(points, title=f"{verified.verdict.model}: {LOSS}").write_image(picture, width=860)
        print(f"picture  {picture}")


def parts_tables(traces: Sequence[Trace], seed: int) -> list[Table]:
    """What each way to deal loses up to the token that ends the needle, and behind it; where enough answers have such a part."""
    ends = [needle_end(trace) for trace in traces]
    parts = {
        "up to the needle's end": [(trace, range(1, end)) for trace, end in zip(traces, ends, strict=True) if end > 1],
        "behind it": [(trace, range(end, trace.n_steps)) for trace, end in zip(traces, ends, strict=True) if end < trace.n_steps],
    }
    return [_part_table(name, PartLosses(part, seed)) for name, part in parts.items() if len(part) >= _FEWEST]


def needle_end(trace: Trace) -> int:
    """How many of the answer's tokens it takes until its text has the needle's; all where it never does."""
    texts = ("".join(trace.token_texts[:n]) for n in range(1, trace.n_steps + 1))
    return next((n for n, text in enumerate(texts, start=1) if trace.answer in text), trace.n_steps)


class PartLosses(Losses):
    """What was measured at some of the steps of each sample."""

    def __init__(self, parts: Sequence[tuple[Trace, range]], seed: int) -> None:
        self.parts, self._seed = list(parts), seed

    @property
    def clusters(self) -> Int[np.ndarray, " sample"]:
        return trace_clusters([trace for trace, _ in self.parts])

    @property
    def seed(self) -> int:
        return self._seed

    def area(self, source: str) -> PerSample:
        return np.array(
            [np.mean([_lost(trace, CacheShare(source, fraction), steps) for fraction in JUDGED]) for trace, steps in self.parts]
        )


def _lost(trace: Trace, cache: CacheShare, steps: range) -> float:
    effects = trace.budgets
    assert effects is not None
    lost = effects.clean - effects.log_p[effects.caches.index(cache)]
    return float(lost[list(steps)].mean())


def _part_table(name: str, found: PartLosses) -> Table:
    effects = found.parts[0][0].budgets
    assert effects is not None
    rows = tuple(
        (source, interval_text(found.mean(found.area(source))), "" if source == STATIC else interval_text(found.gain(STATIC, source)))
        for source in dict.fromkeys(cache.source for cache in effects.caches)
    )
    columns = ("budget", "loss, mean of 2 to 20 % (nats a token)", "static less it")
    about = f"{len(found.parts)} answers; looked at after the verdict was known, and no part of it"
    return Table(name[0].upper() + name[1:], columns, rows, about, numbers=columns[1:])


if __name__ == "__main__":
    run_script(kv_budgets)
