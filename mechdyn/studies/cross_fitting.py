"""What the second criteria for hidden states rest on: every sample measured by what was fitted on others, beyond the step's own mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mechdyn.evidence import LESS, Criterion, Evidence, below
from mechdyn.probes.baselines import with_shuffled_targets
from mechdyn.probes.crossfit import Areas, Fit, compared_areas, cross_fit
from mechdyn.probes.dataset import ProbeData, fold_data
from mechdyn.probes.fit import fit_probe
from mechdyn.probes.probe import Predictor
from mechdyn.probes.ridge import ridge_probe
from mechdyn.stats.cca_crossfit import CrossFittedCorrelation, cross_fitted_correlation
from mechdyn.stats.interval import Interval
from mechdyn.studies.probing import AUPRC, TOP_CORRELATION, cca_samples, training_device
from mechdyn.traces.trace import Trace

SMALL = 0.02
"""A difference that is surely below this refutes."""
N_FOLDS = 5


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
    correlation = cross_fitted_correlation(cca_samples(traces), offset, n_folds=N_FOLDS, seed=seed)
    folds = fold_data(traces, offset, n_folds=N_FOLDS, seed=seed)
    return CrossFittedAt(offset, correlation, compared_areas(cross_fit(folds, fit), seed=seed))


def correlation_rows(found: CrossFittedAt) -> list[Evidence]:
    """The leading correlation, its null, and the first less the second."""
    place = {"k": found.offset, "samples": "held out", "control": "about the step's mean"}
    measured = found.correlation
    return [
        Evidence(TOP_CORRELATION, measured.correlation, place, measured.null.estimate),
        Evidence(TOP_CORRELATION, measured.ahead, {**place, LESS: "its null"}, 0.0),
    ]


def area_rows(found: CrossFittedAt) -> list[Evidence]:
    """The average precision of each predictor, and the paired differences of the first to the others."""
    first = next(iter(found.areas.areas))
    rows = [Evidence(AUPRC, area, {"k": found.offset, "predictor": name}) for name, area in found.areas.areas.items()]
    pairs = found.areas.ahead.items()
    return rows + [Evidence(AUPRC, ahead, {"k": found.offset, "predictor": first, LESS: name}, 0.0) for name, ahead in pairs]


def lies_above_zero(what: str, difference: Interval) -> Criterion:
    """To support: the whole interval of a difference is above 0."""
    return Criterion(f"{what}, {difference}, lies wholly above 0", below(0.0, difference.low))


def is_small(what: str, difference: Interval) -> Criterion:
    """To refute: the upper end of a difference is below 0.02."""
    return Criterion(f"{what}, {difference}, has its upper end below {SMALL}", below(difference.high, SMALL))


def differences(found: CrossFittedAt, names: Sequence[str], *, correlation: bool = True) -> Mapping[str, Interval]:
    """In words what is compared at this offset, and the difference: the correlation to its null, the probe to each named predictor."""
    k, first = found.offset, next(iter(found.areas.areas))
    pairs = {f"k = {k}: top correlation less its null": found.correlation.ahead} if correlation else {}
    return pairs | {f"k = {k}: AUPRC of the {first} less that of {name}": found.areas.ahead[name] for name in names}
