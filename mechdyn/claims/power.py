"""How many samples a verdict needs: the share of runs of n samples that would come to it, from a pilot's samples or a simulated world.

Three ways, by what a claim can be asked:

- `redrawn`: samples of the pilot are drawn with replacement up to n, those that share a needle or haystack together, and the claim itself
  decides on each draw. It is for claims that may be given a sample more than once (`takes_repeats = True` in their class).
- `world_outcome`, `effect_outcome`: every run is a new one in a world of known truth, judged as a model's is.
- `scaled`: a claim that fits on some samples and tests on others must not see a sample twice. Its criteria are scaled instead: one that the
  pilot of n₀ samples meets with a one-sided p lies z₀ = Φ⁻¹(1 − p) half-widths off, and at n samples is met with the probability
  Φ(z₀ √(n / n₀) − 1.96). Criteria that must all be met are multiplied as if they were independent, which is too little where they are met
  together; of those of which any is enough, the likeliest is taken.

A claim decides by its `judge`, or by its `decide` where it has one, which gives the outcome alone. Of each n as many runs are made as it
takes for Wilson's interval of both shares to reach no further than 0.05 to either side, and not more than are asked for: 40 where all runs
come to the same.

A draw counts what is random in it: its interval is Wilson's over the draws. What is uncertain about the pilot is more: the range has z₀ at
both ends of its own 95 % interval, z₀ ± 1.96, and wherever the pilot's criteria have a p it is told.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn, TypeAlias

import numpy as np
import scipy
from pandas import DataFrame
from tqdm import tqdm

from mechdyn.claims.claim import Claim
from mechdyn.claims.irreplaceability import DoseFindings, criteria
from mechdyn.errors import InputError
from mechdyn.evidence import MIN_RETRIEVING_SAMPLES, Criteria, Outcome, Verdict, outcome
from mechdyn.plans import Request
from mechdyn.stats.interval import Interval
from mechdyn.stats.proportions import Bounds, normal_quantile, wilson
from mechdyn.studies.conditions import by_sample
from mechdyn.studies.dose_response import NOT_ASKED, dose
from mechdyn.studies.effect_worlds import EffectWorld, simulate_doses
from mechdyn.studies.worlds import SimulatedWorld, request_for, simulate
from mechdyn.traces.clusters import trace_clusters
from mechdyn.traces.trace import Trace

Roles: TypeAlias = Mapping[str, Sequence[Trace]]
OutcomeAt: TypeAlias = Callable[[int, int], Outcome]
"""The outcome of one run of so many samples, by its seed."""
SIZES = (20, 40, 80, 160, 320)
WANTED = 0.8
"""The power that a run is usually planned for."""
DRAWN = "drawn"
"""The key of a trace's meta under which a redrawn one says which draw it is of, so that copies are not taken for what shares a needle."""
DETECTION = "detection"
_ALL_RIGHT = Interval(1.0, 1.0, 1.0, 100)
_Z = normal_quantile(0.95)
_LEAST_P = 1e-12
_FEWEST_DRAWS, _CLOSE = 40, 0.1
"""Draws before the first look at how wide the intervals of the shares are, and between two looks; and when they are narrow enough."""
_OWN, _DRAWS = "the pilot's own 95 %", "Wilson, of the draws"
"""What the intervals of a share are called."""


@dataclass(frozen=True)
class PowerAt:
    """What runs of `n` samples come to: the share that supports and that refutes, and what the pilot itself leaves open of both."""

    n: int
    supported: Interval
    refuted: Interval
    supported_range: Bounds | None = None
    refuted_range: Bounds | None = None


@dataclass(frozen=True)
class Power:
    """A power curve, and how it was made, in words."""

    claim: str
    how: str
    points: tuple[PowerAt, ...]

    def needed(self, outcome: Outcome, power: float = WANTED) -> int | None:
        """The smallest n whose share of this outcome is at least `power`; None where none of the curve's is."""
        name = {Outcome.SUPPORTED: "supported", Outcome.REFUTED: "refuted"}[outcome]
        return next((point.n for point in self.points if getattr(point, name).estimate >= power), None)

    def to_frame(self) -> DataFrame:
        """A row a number of samples and outcome: share, its bounds, and the range that the pilot leaves open (missing where unknown)."""
        rows = []
        for point in self.points:
            for name in ("supported", "refuted"):
                share, spread = getattr(point, name), getattr(point, f"{name}_range") or (np.nan, np.nan)
                bounds = {"power": share.estimate, "low": share.low, "high": share.high}
                rows.append({"claim": self.claim, "n": point.n, "outcome": name, **bounds, "pilot_low": spread[0], "pilot_high": spread[1]})
        return DataFrame(rows)


def power_of(outcome_at: OutcomeAt, sizes: Sequence[int], draws: int, claim: str, how: str) -> Power:
    """The power curve of what decides a run, at most `draws` runs at each size, seeded 0, 1, …; fewer where that is sure enough.

    Raises:
        InputError: no size, or fewer than one draw.
    """
    check_sizes(sizes, draws)
    with tqdm(total=len(sizes) * draws, desc=f"power of {claim}", unit="run", disable=None, delay=1) as bar:
        points = []
        for n in sizes:
            points.append(_drawn_at(outcome_at, n, draws, bar))
    return Power(claim, how, tuple(points))


def _drawn_at(outcome_at: OutcomeAt, n: int, draws: int, bar: "tqdm[NoReturn]") -> PowerAt:
    """The shares of runs of one size; what need not be run is taken off the bar's total."""
    found: Counter[Outcome] = Counter()
    for seed in range(draws):
        found[outcome_at(n, seed)] += 1
        bar.update()
        done = seed + 1
        point = PowerAt(n, _share(found[Outcome.SUPPORTED], done), _share(found[Outcome.REFUTED], done))
        if done % _FEWEST_DRAWS == 0 and all(share.high - share.low <= _CLOSE for share in (point.supported, point.refuted)):
            break
    bar.total -= draws - done
    bar.refresh()
    return point


def check_sizes(sizes: Sequence[int], draws: int) -> None:
    """Raises InputError on no size, a size or a number of draws below 1."""
    if not sizes or min(sizes) < 1 or draws < 1:
        raise InputError(f"power needs sizes and draws of at least 1, got sizes {list(sizes)} and {draws} draws")


def redrawn(claim: Claim, request: Request, roles: Roles) -> OutcomeAt:
    """What decides a run whose samples are drawn from a pilot's.

    Raises:
        InputError: a pilot without samples.
    """
    samples = {role: by_sample(traces) for role, traces in roles.items()}
    groups = _aligned(samples)
    largest = max((len(samples[group[0]]) for group in groups if group != (DETECTION,)), default=0)
    if not largest:
        raise InputError("a pilot needs samples other than those of detection, got none; run the claim first, with few --runs")
    clusters = {group: _clusters([[draws[0] for draws in samples[role]] for role in group]) for group in groups}
    decide = _decides(claim)

    def outcome_at(n: int, seed: int) -> Outcome:
        rng = np.random.default_rng([seed, n])
        traces: dict[str, Sequence[Trace]] = dict.fromkeys(roles, ())
        for group, found in clusters.items():
            drawn = _draw(found, max(1, round(n * len(samples[group[0]]) / largest)), rng)
            traces |= {role: [_copy(trace, draw) for place, draw in drawn for trace in samples[role][place]] for role in group}
        return decide(request, traces)

    return outcome_at


def _decides(claim: Claim) -> Callable[[Request, Roles], Outcome]:
    """What gives a claim's outcome: its own `decide`, which leaves out the evidence that no criterion asks, or its judge."""
    decide: Callable[[Request, Roles], Outcome] | None = getattr(claim, "decide", None)
    return decide or (lambda request, traces: claim.judge(request, traces).outcome)


def scaled(pilot: Verdict, n_pilot: int, sizes: Sequence[int]) -> Power:
    """The power curve that a pilot's criteria give when their intervals narrow as 1 / √n.

    Raises:
        InputError: a pilot that was put to no criterion, or to one without a p.
    """
    check_sizes(sizes, 1)
    criteria = (*pilot.supports, *pilot.refutes)
    if not criteria or any(criterion.p is None for criterion in criteria):
        why = "one of its criteria has no p" if criteria else f"it was put to no criterion ({'; '.join(pilot.notes) or 'no reason given'})"
        raise InputError(f"power cannot be scaled from this pilot of {n_pilot} samples: {why}; give a larger pilot")
    how = f"criteria of a pilot of {n_pilot} samples, intervals scaled by 1 / √n; range: the pilot's own 95 %"
    return Power(pilot.claim, how, tuple(_scaled_at(pilot, n / n_pilot, n, n_pilot) for n in sizes))


def with_range(power: Power, pilot: Verdict, n_pilot: int) -> Power:
    """The curve with what the pilot leaves open, where its criteria have a p; as it was where not.

    A refuting criterion that asks something *not* to be so has no range: what the pilot shows of that says nothing of other n.
    """
    try:
        beside = scaled(pilot, n_pilot, [point.n for point in power.points])
    except InputError:
        return power
    plain = not any(demand.negated for criterion in pilot.refutes for demand in criterion.asked)
    ranges = zip(power.points, beside.points, strict=True)
    spread = (
        replace(one, supported_range=other.supported_range, refuted_range=other.refuted_range if plain else None) for one, other in ranges
    )
    return replace(power, points=tuple(spread))


def _scaled_at(pilot: Verdict, ratio: float, n: int, n_pilot: int) -> PowerAt:
    shifts = (0.0, -_Z, _Z)
    refuted = [_chance(pilot.refutes, ratio, shift, every=False) for shift in shifts]
    met = [_chance(pilot.supports, ratio, shift, every=True) for shift in shifts]
    supported = [(1 - against) * share for share, against in zip(met, refuted, strict=True)]
    spreads = [(min(shares), max(shares)) for shares in (supported, refuted)]
    first, second = (Interval(shares[0], *spread, n_pilot, _OWN) for shares, spread in zip((supported, refuted), spreads, strict=True))
    return PowerAt(n, first, second, spreads[0], spreads[1])


def _chance(criteria: Criteria, ratio: float, shift: float, *, every: bool) -> float:
    """The chance that all, or any, of the criteria are met; 0 of none."""
    if not criteria:
        return 0.0
    known = [criterion.p for criterion in criteria if criterion.p is not None]
    z = [-scipy.special.ndtri(np.clip(p, _LEAST_P, 1 - _LEAST_P)) + shift for p in known]
    chances = scipy.special.ndtr(np.array(z) * np.sqrt(ratio) - _Z)
    return float(chances.prod() if every else chances.max())


def _aligned(samples: Mapping[str, Sequence[Sequence[Trace]]]) -> list[tuple[str, ...]]:
    """The roles whose samples go together, place by place: all of one number but for `detection`, which has samples of its own.

    A sample of some roles has several traces, one for each draw of random heads.
    """
    sizes = dict.fromkeys(len(found) for role, found in samples.items() if found and role != DETECTION)
    groups = [tuple(role for role, found in samples.items() if len(found) == size and role != DETECTION) for size in sizes]
    return [*groups, *([(DETECTION,)] if samples.get(DETECTION) else [])]


def _clusters(aligned: Sequence[Sequence[Trace]]) -> list[list[int]]:
    """Places together where their samples share a needle or a haystack that not all share."""
    labels = trace_clusters(*aligned)
    return [np.flatnonzero(labels == label).tolist() for label in range(int(labels.max()) + 1)]


def _draw(clusters: Sequence[Sequence[int]], n: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Whole clusters, until there are `n` samples; each place with the number of its draw."""
    drawn: list[tuple[int, int]] = []
    draw = 0
    while len(drawn) < n:
        drawn += [(place, draw) for place in clusters[int(rng.integers(len(clusters)))]]
        draw += 1
    return drawn[:n]


def world_outcome(claim: Claim, world: SimulatedWorld) -> OutcomeAt:
    """What decides a run in a simulated world, for a claim that judges its traces."""
    decide = _decides(claim)
    return lambda n, seed: decide(request_for(world), simulate(world, n, seed=seed))


def effect_outcome(world: EffectWorld) -> OutcomeAt:
    """What decides irreplaceability in a simulated world of effects, all of n samples right: at the largest k that enough reach."""

    def outcome_at(n: int, seed: int) -> Outcome:
        doses = simulate_doses(world, n, np.random.default_rng([seed, n]))
        enough = [k for k, samples in doses.items() if len(samples) >= MIN_RETRIEVING_SAMPLES]
        asked = tuple(dose(k, doses[k], seed=seed) for k in enough[-1:])
        return outcome(*criteria(DoseFindings("accuracy", _ALL_RIGHT, asked, NOT_ASKED)))

    return outcome_at


def _copy(trace: Trace, draw: int) -> Trace:
    return replace(trace, sample=f"{trace.sample}, draw {draw}", meta={**trace.meta, DRAWN: draw})


def _share(hits: int, draws: int) -> Interval:
    return Interval(hits / draws, *wilson(hits / draws, draws, _Z), draws, _DRAWS)
