"""Simulated answers whose truth is known: what makes a token wrong, and what retrieval and doubt have to do with it, drawn by rule.

A sample is an answer of up to ten content tokens that ends at its first wrong one. Each has an entropy; max p goes with it. What a verdict
makes of such answers is its error rate (`experiments/error_rates.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from mechdyn.studies.alarm import COPIES, DEPLOYABLE, ENTROPY, LABELLED, MARGIN, MAX_P, N_ACTIVE, AlarmRows
from mechdyn.studies.claimed_tokens import KINDS

LENGTH = 10


@dataclass(frozen=True)
class Token:
    """What is drawn for one token: its entropy (nats), place, the sample's difficulty, the sample's own level of retrieval, noise."""

    entropy: float
    place: int
    difficulty: float
    level: float
    noise: float


@dataclass(frozen=True)
class AlarmWorld:
    """What is true of the tokens.

    Attributes:
        name: the world's name.
        supported: whether retrieval tells something of wrong tokens beyond entropy, max p, kind and place.
        log_odds: of a token being wrong, given the token and its retrieval.
        retrieval: what stands behind a token, in [0, 1].
    """

    name: str
    supported: bool
    log_odds: Callable[[Token, float], float]
    retrieval: Callable[[Token], float]


def _independent(token: Token) -> float:
    return float(expit(token.noise))


def _follows(token: Token) -> float:
    return float(expit(1.5 - 2 * token.entropy + 0.5 * token.noise))


def _bent(token: Token) -> float:
    return float(expit(4 - 10 * token.entropy) * 0.9 + 0.02 * (token.noise + 2))


def _by_place(token: Token) -> float:
    return float(expit(token.place - 1 + 0.5 * token.noise))


def _doubt(token: Token, retrieval: float) -> float:
    return -4.0 + 2.0 * token.entropy + token.difficulty


WORLDS = (
    AlarmWorld("silent where it is wrong", True, lambda token, r: _doubt(token, r) + 3.0 * (0.5 - r), _independent),
    AlarmWorld("a little more silent", True, lambda token, r: _doubt(token, r) + 2.0 * (0.5 - r), _independent),
    AlarmWorld("silent, and follows entropy", True, lambda token, r: _doubt(token, r) + 4.0 * (0.5 - r), _follows),
    AlarmWorld("noise", False, _doubt, _independent),
    AlarmWorld("follows entropy only", False, _doubt, _follows),
    AlarmWorld("follows entropy by a curve, and so does what is wrong", False, lambda t, r: -4 + 4 * expit(8 * (t.entropy - 0.8)), _bent),
    AlarmWorld("follows place only, and so does what is wrong", False, lambda t, r: _doubt(t, r) + 2.5 * (t.place == 0), _by_place),
    AlarmWorld("each sample has a level of its own", False, lambda t, r: _doubt(t, r) + t.difficulty, lambda t: float(expit(2 * t.level))),
)


def simulate_rows(world: AlarmWorld, n_wrong: int, rng: np.random.Generator) -> AlarmRows:
    """Answers of a world until so many have a wrong token."""
    rows: list[tuple[int, int, bool, float, float]] = []
    sample = found = 0
    while found < n_wrong:
        difficulty, level = rng.normal(0.0, 0.5), rng.normal()
        for place in range(LENGTH):
            token = Token(float(rng.gamma(0.7, 0.8)), place, difficulty, level, float(rng.normal()))
            retrieval = world.retrieval(token)
            wrong = bool(rng.random() < expit(world.log_odds(token, retrieval)))
            rows.append((sample, place, wrong, token.entropy, retrieval))
            if wrong:
                found += 1
                break
        sample += 1
    samples, places, wrongs, entropies, retrievals = map(np.array, zip(*rows, strict=True))
    max_p = np.exp(-entropies * np.exp(0.3 * rng.standard_normal(len(rows))))
    readings = {ENTROPY: entropies, MAX_P: max_p, MARGIN: np.clip(2 * max_p - 1, 0, 1), LABELLED: retrievals, DEPLOYABLE: retrievals}
    readings |= {COPIES: retrievals, N_ACTIVE: np.round(20 * retrievals)}
    kind = np.array([KINDS[each] for each in rng.integers(0, 2, len(rows))], dtype=object)
    source = np.array(["simulated"] * len(rows), dtype=object)
    return AlarmRows(wrongs, kind, places, source, samples, readings, tuple(range(sample)))
