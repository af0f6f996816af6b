"""What the second criteria for hidden states rest on: every sample measured by what was fitted on others, beyond the step's own mean."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from tqdm import tqdm

from mechdyn.evidence import (
    FIRST,
    LESS,
    MIN_RETRIEVING_SAMPLES,
    SECOND,
    Criteria,
    Criterion,
    Demand,
    Evidence,
    Outcome,
    Side,
    Verdict,
    outcome,
)
from mechdyn.plans import Request
from mechdyn.probes.baselines import with_shuffled_targets
from mechdyn.probes.crossfit import Areas, Fit, compared_areas, cross_fit
from mechdyn.probes.dataset import ProbeData, fold_data
from mechdyn.probes.fit import fit_probe
from mechdyn.probes.probe import Predictor
from mechdyn.probes.ridge import ridge_probe
from mechdyn.stats.cca_crossfit import CrossFittedCorrelation, cross_fitted_correlation
from mechdyn.stats.tails import p_above, p_below
from mechdyn.studies.probing import AUPRC, PROBES, TOP_CORRELATION, Outline, attempt, cca_samples, training_device
from mechdyn.traces.clusters import trace_clusters
from mechdyn.traces.trace import Trace

SMALL = 0.02
"""A difference that is surely below this refutes."""
N_FOLDS = 5
NULL = "its null"
"""What evidence calls the correlation with other samples' scores, which a correlation is held against."""


@dataclass(frozen=True)
class CrossFittedAt:
    """What was measured at one offset. `areas` holds the first predictor against the others."""

    offset: int
    correlation: CrossFittedCorrelation
    areas: Areas


def probe_of(data: ProbeData, preset: str, *, seed: int = 0) -> Predictor:
    """The probe of one fold: the paper's network under its preset, else ridge regression, which fits in a second."""
    if preset == "paper":
        return fit_probe(data, preset, seed=seed, device=training_device(preset), describe=f"probe, k = {data.offset}")
    return ridge_probe(data, seed=seed)


def shuffled(data: ProbeData, preset: str, *, seed: int = 0) -> Predictor:
    """The same probe, fitted on targets that were dealt out to the steps at random."""
    return probe_of(with_shuffled_targets(data, seed=seed), preset, seed=seed)


def cross_fitted_at(traces: Sequence[Trace], offset: int, fit: Fit, *, seed: int = 0) -> CrossFittedAt:
    """Correlation about the step's mean, and the average precision of the predictors that `fit` gives, the one under test first.

    Raises:
        InputError: samples that are too few or too short for the folds, or scores without variation.
    """
    correlation = cross_fitted_correlation(cca_samples(traces), offset, clusters=trace_clusters(traces), n_folds=N_FOLDS, seed=seed)
    folds = fold_data(traces, offset, n_folds=N_FOLDS, seed=seed)
    return CrossFittedAt(offset, correlation, compared_areas(cross_fit(folds, fit), seed=seed))


def correlation_rows(found: CrossFittedAt) -> list[Evidence]:
    """The leading correlation, its null, and the first less the second."""
    place = {"k": found.offset, "samples": "held out", "control": "about the step's mean"}
    measured = found.correlation
    return [
        Evidence(TOP_CORRELATION, measured.correlation, place, measured.null.estimate),
        Evidence(TOP_CORRELATION, measured.null, {**place, "samples": NULL}),
        Evidence(TOP_CORRELATION, measured.ahead, {**place, LESS: NULL}, 0.0),
    ]


def area_rows(found: CrossFittedAt) -> list[Evidence]:
    """The average precision of each predictor, and the paired differences of the first to the others."""
    first = next(iter(found.areas.areas))
    rows = [Evidence(AUPRC, area, {"k": found.offset, "predictor": name}) for name, area in found.areas.areas.items()]
    pairs = found.areas.ahead.items()
    return rows + [Evidence(AUPRC, ahead, {"k": found.offset, "predictor": first, LESS: name}, 0.0) for name, ahead in pairs]


def lies_above_zero(what: str, found: Evidence) -> Criterion:
    """To support: the whole interval of a difference is above 0."""
    difference = found.interval
    return Criterion.asking(f"{what}, {difference}, lies wholly above 0", Demand(found, Side.ABOVE, 0.0), p=p_above(difference, 0.0))


def is_small(what: str, found: Evidence) -> Criterion:
    """To refute: the upper end of a difference is below 0.02."""
    difference, asked = found.interval, Demand(found, Side.BELOW, SMALL)
    return Criterion.asking(f"{what}, {difference}, has its upper end below {SMALL}", asked, p=p_below(difference, SMALL))


def differences(found: CrossFittedAt, names: Sequence[str], *, correlation: bool = True) -> Mapping[str, Evidence]:
    """In words what is compared at this offset, and the difference: the correlation to its null, the probe to each named predictor."""
    k, first = found.offset, next(iter(found.areas.areas))
    rows = {row.at[LESS]: row for row in (*correlation_rows(found), *area_rows(found)) if LESS in row.at}
    pairs = {f"k = {k}: top correlation less its null": rows[NULL]} if correlation else {}
    return pairs | {f"k = {k}: AUPRC of the {first} less that of {name}": rows[name] for name in names}


def crossed_margins(k: int) -> dict[str, float]:
    """What the second criteria of both claims are put to; `k` is the offset at which a difference may refute."""
    return {
        "every difference to support, above": 0.0,
        f"a difference at k = {k} to refute, below": SMALL,
        "folds": N_FOLDS,
        "samples, at least": MIN_RETRIEVING_SAMPLES,
    }


def crossed_verdict(
    claim: str,
    request: Request,
    begun: Outline,
    measure: Callable[..., list[CrossFittedAt]],
    criteria: Callable[[Sequence[CrossFittedAt]], tuple[Criteria, Criteria]],
) -> Verdict:
    """A claim's verdict under the second criteria.

    Args:
        claim: its name.
        request: model, preset and seed.
        begun: the traces, or why they carry no verdict.
        measure: takes traces, `preset` and `seed`; may say that samples are too few or too short.
        criteria: those that support and those that refute.
    """
    empty = Verdict(str(request.model["name"]), claim, Outcome.INCONCLUSIVE, facts=begun.facts, named=SECOND)
    preset = PROBES[request.preset]
    crossed, reason = attempt(begun, partial(measure, preset=preset, seed=request.seed))
    if crossed is None:
        return replace(empty, notes=(reason,))
    supports, refutes = criteria(crossed)
    told = {"probe": preset if preset == "paper" else "ridge", "folds": N_FOLDS}
    return replace(
        empty,
        outcome=outcome(supports, refutes),
        evidence=tuple(row for at in crossed for row in (*correlation_rows(at), *area_rows(at))),
        supports=supports,
        refutes=refutes,
        facts={**begun.facts, **told, "strongest_baselines": [at.areas.strongest for at in crossed]},
    )


def beside_first(second: Verdict, first: Callable[[Request, Outline], Verdict], request: Request, begun: Outline) -> Verdict:
    """The verdict with that of the first criteria beside it, where traces carry one at all."""
    return second if begun.reason else replace(second, beside=(replace(first(request, begun), named=FIRST),))


def each_offset(offsets: Sequence[int], traces: Sequence[Trace], fit: Fit, *, seed: int = 0) -> list[CrossFittedAt]:
    """`cross_fitted_at` of several offsets, one after the other."""
    shown = tqdm(offsets, desc="cross-fitting", unit="offset", disable=None, delay=1, leave=False)
    return [cross_fitted_at(traces, offset, fit, seed=seed) for offset in shown]
