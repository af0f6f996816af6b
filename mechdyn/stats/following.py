"""What the sets of heads follow: the token, the number of the step, or neither (docs/definitions.md, "Overlap").

Steps of answers to different needles are compared. Where heads go by the token, steps of one token overlap wherever in the answer they are;
where they go by the number of the step, steps of one number overlap whatever the token. No verdict rests on this.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Int

from mechdyn.errors import InputError
from mechdyn.stats.head_sets import Traced, head_sets
from mechdyn.stats.interval import Interval
from mechdyn.stats.labels import Clusters
from mechdyn.stats.resampling import DIFFERENCE, UNIT, bootstrap_many

_PARTNERS = 8


@dataclass(frozen=True)
class Following:
    """Mean Jaccard of retrieving steps of different samples, by what they have in common, and what that adds.

    `token` is `same_token` (at another step) less `neither`, `step` is `same_step` (of another token) less `neither`. Resampled by sample,
    a pair of samples by both.
    """

    same_token: Interval
    same_step: Interval
    neither: Interval
    token: Interval
    step: Interval


@dataclass(frozen=True)
class _Padded:
    """All samples' steps, the shorter ones filled up with steps that do not retrieve."""

    sets: Float[np.ndarray, "sample step head"]
    tokens: Int[np.ndarray, "sample step"]

    @property
    def retrieving(self) -> Bool[np.ndarray, "sample step"]:
        return np.asarray(self.sets.any(axis=2))


def following(
    samples: Sequence[Traced], clusters: Clusters | None = None, *, seed: int = 0, n_resamples: int = 2000, partners: int = _PARTNERS
) -> Following:
    """Compare each sample with as many others as `partners` says, the next ones in order. NaN where steps of a kind do not occur.

    Args:
        samples: traces of different needles, tokens and heads of each step.
        clusters: a label for each sample; those of one label are drawn together.
        seed: of the resamples.
        n_resamples: resamples.
        partners: how many others each sample is compared with, at most all.

    Raises:
        InputError: fewer than two samples, or samples of different models.
    """
    if len(samples) < 2:
        raise InputError(f"what heads follow shows between answers, so it needs at least 2 samples, got {len(samples)}")
    padded = _padded(samples)
    found = {shift: _compared(padded, shift) for shift in range(1, min(partners, len(samples) - 1) + 1)}

    def means(weights: Float[np.ndarray, "resample sample"]) -> Float[np.ndarray, "resample 3"]:
        # A resample holds a pair as often as both of its samples together, or the interval would know of one of them only.
        pairs = {shift: weights * np.roll(weights, -shift, axis=1) for shift in found}
        sums, counts = (np.sum([pairs[shift] @ parts[place] for shift, parts in found.items()], axis=0) for place in (0, 1))
        return np.divide(sums, counts, out=np.full(counts.shape, math.nan), where=counts > 0)

    def effects(weights: Float[np.ndarray, "resample sample"]) -> Float[np.ndarray, "resample 2"]:
        by_kind = means(weights)
        return by_kind[:, :2] - by_kind[:, 2:]

    resampled = partial(bootstrap_many, n_samples=len(samples), clusters=clusters, seed=seed, n_resamples=n_resamples)
    same_token, same_step, neither = resampled(means, limits=UNIT)
    token, step = resampled(effects, limits=DIFFERENCE)
    return Following(same_token, same_step, neither, token, step)


def _padded(samples: Sequence[Traced]) -> _Padded:
    sets = head_sets(samples)
    longest = max(map(len, sets))
    full = np.zeros((len(sets), longest, sets[0].shape[1]), dtype=np.float32)
    tokens = np.full((len(sets), longest), -1)
    for index, (rows, sample) in enumerate(zip(sets, samples, strict=True)):
        full[index, : len(rows)] = rows
        tokens[index, : len(rows)] = sample.tokens.numpy()
    return _Padded(full, tokens)


def _compared(padded: _Padded, shift: int) -> tuple[Float[np.ndarray, "sample 3"], Float[np.ndarray, "sample 3"]]:
    """Of each sample with the one `shift` further on: sums of Jaccard and counts, for same token, same step and neither."""
    others = np.roll(padded.sets, -shift, axis=0)
    shared = padded.sets @ others.transpose(0, 2, 1)
    union = padded.sets.sum(axis=2)[:, :, None] + others.sum(axis=2)[:, None, :] - shared
    jaccard = shared / np.maximum(union, 1)
    both = padded.retrieving[:, :, None] & np.roll(padded.retrieving, -shift, axis=0)[:, None, :]
    token = padded.tokens[:, :, None] == np.roll(padded.tokens, -shift, axis=0)[:, None, :]
    step = np.eye(padded.sets.shape[1], dtype=bool)[None]
    kinds = [both & kind for kind in (token & ~step, step & ~token, ~token & ~step)]
    return (
        np.stack([np.where(kind, jaccard, 0.0).sum(axis=(1, 2)) for kind in kinds], axis=1).astype(np.float64),
        np.stack([kind.sum(axis=(1, 2)) for kind in kinds], axis=1).astype(np.float64),
    )
