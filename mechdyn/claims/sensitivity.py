"""How the dynamism verdict on questions moves over the three numbers of Eq. 2 that the paper does not state.

Sink, local window and threshold decide which heads count as retrieving (docs/definitions.md, "Scores"). Sink and local window need a run
each, since they decide what is scored; a threshold is put to the scores that the run has stored. The criteria of the verdict stay the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mechdyn.claims.dynamism import Dynamism
from mechdyn.errors import InputError
from mechdyn.evidence import Verdict
from mechdyn.plans import Plan, Request
from mechdyn.traces.trace import Trace

SINKS, LOCALS, THRESHOLDS = (1, 4, 16), (0, 32, 128), (0.3, 0.5, 0.7)
DEFAULT = (4, 32, 0.5)
"""The setting that verdicts are taken under."""


@dataclass(frozen=True)
class SensitivityCell:
    """The verdict under one setting."""

    sink: int
    local: int
    threshold: float
    verdict: Verdict

    @property
    def setting(self) -> tuple[int, int, float]:
        return self.sink, self.local, self.threshold

    def as_json(self) -> dict[str, Any]:
        return {"sink": self.sink, "local": self.local, "threshold": self.threshold, **self.verdict.as_json()}


def windowed(request: Request, sink: int, local: int) -> Request:
    """The request with this sink and local window."""
    return replace(request, score={"name": "reasoning", "sink": sink, "local": local})


def window_plan(request: Request, sink: int, local: int) -> Plan:
    """What dynamism needs, scored with this sink and local window; the samples are the same for all."""
    return Dynamism().plan(windowed(request, sink, local))


def judge_thresholds(
    request: Request, sink: int, local: int, traces: Mapping[str, Sequence[Trace]], thresholds: Sequence[float]
) -> tuple[SensitivityCell, ...]:
    """The verdict at each threshold, from the traces of one `window_plan`."""
    own = windowed(request, sink, local)
    return tuple(
        SensitivityCell(sink, local, threshold, Dynamism().judge(own, at_threshold(traces, threshold))) for threshold in thresholds
    )


def at_threshold(traces: Mapping[str, Sequence[Trace]], threshold: float) -> dict[str, list[Trace]]:
    """The same scores under another threshold.

    Raises:
        InputError: a threshold outside [0, 1), which no score or every one would pass.
    """
    if not 0 <= threshold < 1:
        raise InputError(f"threshold must lie in [0, 1), where scores of Eq. 2 can be above it, got {threshold}")
    return {role: [replace(trace, threshold=threshold) for trace in row] for role, row in traces.items()}


def reference_cell(cells: Sequence[SensitivityCell]) -> SensitivityCell:
    """The default setting's cell, the first where the grid leaves the default out."""
    if not cells:
        raise InputError("a sensitivity grid needs at least one cell, got none")
    return next((cell for cell in cells if cell.setting == DEFAULT), cells[0])


def flipped(cells: Sequence[SensitivityCell]) -> list[SensitivityCell]:
    """Cells whose verdict is another than the reference's."""
    outcome = reference_cell(cells).verdict.outcome
    return [cell for cell in cells if cell.verdict.outcome != outcome]
