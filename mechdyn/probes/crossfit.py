"""Predictions for every sample by predictors that were fitted on other samples, and how far one is ahead of the rest.

A test part of a tenth of the samples gives wide intervals. Here each fold is predicted from the others, and average precision is taken over
the rows of all folds together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from jaxtyping import Float

from mechdyn.errors import InputError
from mechdyn.probes.auprc import auprcs
from mechdyn.probes.dataset import ProbeData, ProbeRows
from mechdyn.probes.probe import Predictor
from mechdyn.stats.interval import Interval
from mechdyn.tensors import Tensor, torch

Fit: TypeAlias = Callable[[ProbeData], Mapping[str, Predictor]]
"""Fits predictors on the training and validation samples of a fold, by name."""


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """The rows of all samples, each once, and what each predictor says of them."""

    rows: ProbeRows
    predictions: Mapping[str, Float[Tensor, "row head"]]


@dataclass(frozen=True)
class Areas:
    """The average precision of each predictor, and of the first less that of each other, paired by sample; `n_samples` counts those."""

    areas: Mapping[str, Interval]
    ahead: Mapping[str, Interval]
    n_samples: int

    @property
    def strongest(self) -> str:
        """The predictor with the highest average precision beside the first."""
        return max(self.ahead, key=lambda name: self.areas[name].estimate)


def cross_fit(folds: Sequence[ProbeData], fit: Fit) -> CrossFitted:
    """Fit on each fold's training samples and predict its test samples.

    Args:
        folds: from `fold_data`.
        fit: gives predictors of the same names for every fold.

    Raises:
        InputError: no fold, or predictors of other names in some fold.
    """
    if not folds:
        raise InputError("cross-fitting needs folds, got none; fold_data makes them")
    predicted: list[dict[str, Float[Tensor, "row head"]]] = []
    for data in folds:
        predicted.append({name: predictor(data.test).double() for name, predictor in fit(data).items()})
        if list(predicted[-1]) != list(predicted[0]):
            raise InputError(f"every fold needs the same predictors, got {list(predicted[0])} and {list(predicted[-1])}")
    predictions = {name: torch.cat([of_fold[name] for of_fold in predicted]) for name in predicted[0]}
    return CrossFitted(_joined([data.test for data in folds]), predictions)


def compared_areas(found: CrossFitted, *, seed: int = 0) -> Areas:
    """Average precision over the rows of all folds; the first predictor is held against the others."""
    names = list(found.predictions)
    intervals = auprcs(list(found.predictions.values()), found.rows, seed=seed)
    areas = dict(zip(names, intervals, strict=False))
    return Areas(areas, dict(zip(names[1:], intervals[len(names) :], strict=True)), found.rows.n_samples)


def _joined(parts: Sequence[ProbeRows]) -> ProbeRows:
    """The rows of all parts, samples numbered through."""
    starts = [sum(part.n_samples for part in parts[:index]) for index in range(len(parts))]
    numbered = [part.sample + start for part, start in zip(parts, starts, strict=True)]
    columns = {name: torch.cat([getattr(part, name) for part in parts]) for name in ("hidden", "target", "previous", "step", "token")}
    known = [part.clusters for part in parts if part.clusters is not None]
    clusters = tuple(label for labels in known for label in labels) if len(known) == len(parts) else None
    n_samples = sum(part.n_samples for part in parts)
    return replace(parts[0], **columns, sample=torch.cat(numbered), n_samples=n_samples, clusters=clusters)
