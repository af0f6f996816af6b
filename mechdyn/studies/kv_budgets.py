"""Key-value caches that are too small, dealt out in several ways: what is run, and quality against size (docs/kv_budgets.md).

No verdict; `mechdyn.claims.step_budgets` judges what is measured here.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from mechdyn.errors import InputError
from mechdyn.heads import RankedHeads
from mechdyn.plans import DETECTION, EVALUATION, Plan, Preset, Request, task_units
from mechdyn.probes.forecast import Forecast, fit_forecast
from mechdyn.stats.interval import Interval
from mechdyn.stats.means import bootstrap_mean, mean_interval, paired_difference
from mechdyn.studies.conditions import DETECTION_ROLE
from mechdyn.tasks.task import is_correct
from mechdyn.traces.budgets import ECHO, FORECAST, KV, ORACLE, SOURCES, CacheShare
from mechdyn.traces.clusters import trace_clusters
from mechdyn.traces.trace import Trace
from mechdyn.traces.unit import BUDGETS

SCORE = "r2"
"""HeadKV's own score, unless another is asked for."""
BUDGETS_ROLE = "budgets"
FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Of the prompt: the curve."""
JUDGED = (0.02, 0.05, 0.1, 0.2)
"""The fractions whose mean a verdict is on."""
BESIDE = 0.1
"""The fraction at which irreversible caches and budgets of key-value heads are tried."""

PerSample = Float[np.ndarray, " sample"]


@dataclass(frozen=True)
class CachePoint:
    """One kind of cache over all samples.

    Attributes:
        cache: which.
        loss: nats a token, mean over samples.
        kept: share of samples whose answer stays the same.
        held: share of the prompt's keys and values that a step reads, mean over samples.
        back: share of them that come back at a step, mean over samples.
        bytes_held: bytes of those that a step reads, mean over samples.
    """

    cache: CacheShare
    loss: Interval
    kept: Interval
    held: Interval
    back: Interval
    bytes_held: float


def caches(with_forecast: bool = True) -> tuple[CacheShare, ...]:
    """All that are tried: the curve of every source, and beside it caches that drop for good and budgets of key-value heads."""
    sources = [source for source in SOURCES if with_forecast or source != FORECAST]
    curve = [CacheShare(source, fraction) for source in sources for fraction in FRACTIONS]
    for_good = [CacheShare(source, BESIDE, reversible=False) for source in (ORACLE, ECHO)]
    return (*curve, *for_good, *(CacheShare(source, BESIDE, per=KV) for source in sources))


def setting_json(static: RankedHeads, forecast: Forecast | None, seed: int) -> dict[str, Any]:
    """What a unit holds of caches and of what deals them out; β, window and kernel are the defaults."""
    return {
        "caches": [list(astuple(cache)) for cache in caches(forecast is not None)],
        "static": {str(head): score for head, score in zip(static.heads, static.scores, strict=True)},
        "forecast": None if forecast is None else forecast.as_json(),
        "seed": seed,
    }


def budgets_plan(request: Request, preset: Preset, traces: Mapping[str, Sequence[Trace]]) -> Plan:
    """First the detection set, which gives the list and the forecast; then every cache on other samples."""
    roles = {DETECTION_ROLE: task_units(request, preset, DETECTION)}
    if DETECTION_ROLE not in traces:
        return Plan(roles)
    static = found_list(request, traces[DETECTION_ROLE])
    if static is None:
        return Plan(roles)
    forecast, _ = found_forecast(traces[DETECTION_ROLE], request.seed)
    asked = setting_json(static, forecast, request.seed)
    return Plan({**roles, BUDGETS_ROLE: task_units(request, preset, EVALUATION, measured={BUDGETS: asked})})


def found_list(request: Request, detection: Sequence[Trace]) -> RankedHeads | None:
    """The static list: the user's, else the mean score over the steps of right detection samples; None where no head scores."""
    ranking = request.static_list([trace for trace in detection if usable(trace)])
    return ranking if ranking is not None and ranking.scores[0] > 0 else None


def found_forecast(detection: Sequence[Trace], seed: int) -> tuple[Forecast | None, str]:
    """A forecast of the detection set's scores; or None and why there is none."""
    try:
        return fit_forecast([trace for trace in detection if trace.n_steps > 1 and trace.stopped != "error"], seed=seed), ""
    except InputError as error:
        return None, f"no forecast: {error}"


def usable(trace: Trace) -> bool:
    """Whether a clean answer is right, and has a second token."""
    return trace.n_steps > 1 and trace.stopped != "error" and is_correct(trace.task, trace.text, trace.answer)


class Losses(ABC):
    """What ways to deal a budget out lose on the same samples, and how surely one loses less than another.

    A subclass says what each sample loses.
    """

    @property
    @abstractmethod
    def clusters(self) -> Int[np.ndarray, " sample"]:
        """A label for each sample; samples of one label depend on each other."""

    @property
    @abstractmethod
    def seed(self) -> int:
        """Of bootstraps."""

    @abstractmethod
    def area(self, source: str) -> PerSample:
        """Each sample's mean loss over the judged fractions."""

    def mean(self, values: PerSample) -> Interval:
        """Over samples."""
        return bootstrap_mean(values, np.ones(len(values)), self.clusters, seed=self.seed)

    def gain(self, worse: str, better: str) -> Interval:
        """How much less one source loses than another over the judged fractions, paired by sample."""
        return paired_difference(self.area(worse), self.area(better), self.clusters, seed=self.seed)


class CacheLosses(Losses):
    """What was measured on the samples that are answered correctly with the whole cache."""

    def __init__(self, traces: Sequence[Trace], seed: int = 0) -> None:
        """Take the usable ones.

        Args:
            traces: with `budgets`.
            seed: of the bootstraps.
        """
        self.traces = [trace for trace in traces if trace.budgets is not None and usable(trace)]
        self.effects = [trace.budgets for trace in self.traces if trace.budgets is not None]
        self.caches = self.effects[0].caches if self.effects else ()
        self._seed = seed

    def __len__(self) -> int:
        return len(self.effects)

    @property
    def clusters(self) -> Int[np.ndarray, " sample"]:
        return trace_clusters(self.traces)

    @property
    def seed(self) -> int:
        return self._seed

    def points(self) -> list[CachePoint]:
        """Every cache."""
        return [self.point(cache) for cache in self.caches]

    def point(self, cache: CacheShare) -> CachePoint:
        """One cache: means over samples with their intervals."""
        held = self._of(cache, lambda effects, place: float(effects.held[place]) / effects.n_prompt)
        back = self._of(cache, lambda effects, place: float(effects.back[place]) / effects.n_prompt)
        in_bytes = self._of(cache, lambda effects, place: float(effects.bytes_held[place]))
        return CachePoint(
            cache,
            self.mean(self.loss(cache)),
            mean_interval(self._of(cache, lambda effects, place: bool(effects.same[place])), self.clusters, seed=self._seed),
            self.mean(held),
            self.mean(back),
            float(in_bytes.mean()),
        )

    def loss(self, cache: CacheShare) -> PerSample:
        """Nats a token of each sample."""
        return self._of(cache, lambda effects, place: float(effects.loss[place]))

    def area(self, source: str) -> PerSample:
        return np.mean([self.loss(CacheShare(source, fraction)) for fraction in JUDGED], axis=0)

    def _of(self, cache: CacheShare, read: Any) -> PerSample:
        return np.array([read(effects, effects.caches.index(cache)) for effects in self.effects], dtype=np.float64)
