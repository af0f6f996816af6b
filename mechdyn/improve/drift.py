"""How far a variant has moved on texts that need no retrieval: perplexity, and Kullback-Leibler divergence from the base."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from mechdyn.errors import InputError
from mechdyn.evidence import Evidence
from mechdyn.stats.interval import Interval
from mechdyn.stats.means import bootstrap_mean, paired_difference
from mechdyn.tensors import Tensor

_COUNTED = ("nats_before", "nats_after", "difference", "kl")


@dataclass(frozen=True)
class Drift:
    """Before and after on the same texts, each text counting once; intervals resample texts.

    Attributes:
        variant: whose.
        nats_before: mean over texts of −log p of a token given all before it, in nats, under the base.
        nats_after: the same under the variant.
        difference: after less before, text by text.
        kl: Σ_v p(v) log(p(v) / q(v)), p being the base's distribution and q the variant's, mean over the positions of a text; nats, 0 or
            more, 0 where nothing moved.
        n_tokens: predicted tokens, all texts together.
    """

    variant: str
    nats_before: Interval
    nats_after: Interval
    difference: Interval
    kl: Interval
    n_tokens: int

    @property
    def perplexities(self) -> tuple[float, float]:
        """exp of the mean nats a token, before and after."""
        return math.exp(self.nats_before.estimate), math.exp(self.nats_after.estimate)

    def as_json(self) -> dict[str, Any]:
        return {
            "variant": self.variant,
            "tokens": self.n_tokens,
            **{name: Evidence(name, getattr(self, name)).as_json() for name in _COUNTED},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Drift":
        """What `as_json` wrote."""
        return cls(values["variant"], **{name: Interval.from_json(values[name]) for name in _COUNTED}, n_tokens=values["tokens"])


@dataclass(frozen=True)
class TextDrift:
    """Of one text: mean nats a token under base and variant, mean divergence, and how many tokens were predicted."""

    before: float
    after: float
    kl: float
    n: int


def text_drift(tokens: Int[Tensor, " pos"], base: Float[Tensor, "pos vocab"], variant: Float[Tensor, "pos vocab"]) -> TextDrift:
    """Compare two models' log probabilities over one text; the distribution behind its last token predicts nothing that is known.

    Raises:
        InputError: a text of fewer than two tokens, or distributions of other shapes.
    """
    if len(tokens) < 2 or base.shape != variant.shape or len(base) != len(tokens):
        raise InputError(
            f"drift compares distributions of one shape behind each of at least 2 tokens, got {tuple(base.shape)} and "
            f"{tuple(variant.shape)} for {len(tokens)} tokens"
        )
    p, q, following = base[:-1].double(), variant[:-1].double(), tokens[1:, None]
    # Where p is 0 its log is −∞ and the term is 0.
    terms = (p.exp() * (p - q)).where(p > -math.inf, 0.0)
    before, after = (float(-each.gather(1, following).mean()) for each in (p, q))
    return TextDrift(before, after, float(terms.sum(dim=1).mean().clamp(min=0.0)), len(following))


def drift_of(variant: str, texts: Sequence[TextDrift], seed: int = 0) -> Drift:
    """The means over texts."""
    before, after, kl = (np.array([getattr(text, name) for text in texts]) for name in ("before", "after", "kl"))
    ones = np.ones(len(texts))
    return Drift(
        variant=variant,
        nats_before=bootstrap_mean(before, ones, seed=seed),
        nats_after=bootstrap_mean(after, ones, seed=seed),
        difference=paired_difference(after, before, seed=seed),
        kl=bootstrap_mean(kl, ones, seed=seed),
        n_tokens=sum(text.n for text in texts),
    )
