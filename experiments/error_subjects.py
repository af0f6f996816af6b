"""What docs/verdicts/error-rates.md simulates: claims, worlds of known truth, and what a verdict on one run of a world is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mechdyn.claims import anticipation, correlation
from mechdyn.claims.alarm import criteria as alarm_criteria
from mechdyn.claims.dynamism import Dynamism, as_first_written
from mechdyn.claims.power import effect_outcome
from mechdyn.evidence import FIRST, SECOND, Outcome, outcome
from mechdyn.studies import alarm_worlds, effect_worlds, hidden_worlds
from mechdyn.studies.alarm import DEPLOYABLE, gain_of
from mechdyn.studies.worlds import WORLDS, Truth, request_for, simulate

AS_WRITTEN = "second criteria as first written"
DOUBT_ALONE = "models that know doubt alone"
TRUE, FALSE, NEITHER = "the claim is true", "the claim is false", "no verdict is right"

Outcomes = Mapping[str, Outcome]
"""The outcome under each criteria, by name."""


@dataclass(frozen=True)
class Subject:
    """A claim and the worlds that it is put to.

    Attributes:
        truths: what holds in each world, by the world's name.
        false: the verdicts that are false where a truth holds.
        sizes: how large a run is; what the bar is set for comes first.
        sized: what a size counts.
        readings: the criteria by which verdicts are read, the headline first.
        verdicts: the outcomes of one run, of a world's name, a size and a seed.
        runs: at most so many runs of a cell, for claims that take long.
    """

    truths: Mapping[str, str]
    false: Mapping[str, tuple[Outcome, ...]]
    sizes: tuple[int, ...]
    sized: str
    readings: tuple[str, ...]
    verdicts: Callable[[str, int, int], Outcomes]
    runs: int = 1_000_000


TRUTHS_WRONG = {TRUE: (Outcome.REFUTED,), FALSE: (Outcome.SUPPORTED,), NEITHER: (Outcome.SUPPORTED, Outcome.REFUTED)}
_SAMPLES = "samples in each of the roles detection, evaluation and retest"
_DYNAMISM = Dynamism(n_resamples=400)
_ALARM_WORLDS = {world.name: world for world in alarm_worlds.WORLDS}
_EFFECT_WORLDS = {world.name: world for world in effect_worlds.WORLDS}


def _of_dynamism(world: str, n: int, seed: int) -> Outcomes:
    second, first = _DYNAMISM.verdicts(request_for(WORLDS[world]), simulate(WORLDS[world], n, seed=seed))
    return {SECOND: second.outcome, AS_WRITTEN: as_first_written(second), FIRST: first.outcome}


def _of_irreplaceability(world: str, n: int, seed: int) -> Outcomes:
    return {SECOND: effect_outcome(_EFFECT_WORLDS[world])(n, seed)}


def _of_alarm(world: str, n_wrong: int, seed: int) -> Outcomes:
    rows = alarm_worlds.simulate_rows(_ALARM_WORLDS[world], n_wrong, np.random.default_rng([seed, n_wrong]))
    found = {name: gain_of(rows, DEPLOYABLE, places=name == SECOND, seed=seed) for name in (SECOND, DOUBT_ALONE)}
    return {name: outcome(*alarm_criteria(rows.n_wrong, gain)) for name, gain in found.items()}


def _of_correlation(world: str, n: int, seed: int) -> Outcomes:
    traces = hidden_worlds.simulate_hidden(hidden_worlds.WORLDS[world], n, seed=seed)
    return {SECOND: outcome(*correlation.second_criteria(correlation.measure_crossed(traces, "auto", seed=seed)))}


def _of_anticipation(world: str, n: int, seed: int) -> Outcomes:
    traces = hidden_worlds.simulate_hidden(hidden_worlds.WORLDS[world], n, seed=seed)
    return {SECOND: outcome(*anticipation.second_criteria(anticipation.measure_crossed(traces, "auto", seed=seed)))}


def truth(supported: bool | None) -> str:
    """What holds in a world that says whether its claim is true, false or neither."""
    return NEITHER if supported is None else TRUE if supported else FALSE


SUBJECTS: Mapping[str, Subject] = {
    "dynamism": Subject(
        truths={name: str(world.truth) for name, world in WORLDS.items()},
        false={
            Truth.FIXED: (Outcome.SUPPORTED,),
            Truth.FOLLOWS: (Outcome.REFUTED,),
            Truth.SAMPLE: (Outcome.SUPPORTED,),
            Truth.NOTHING: (Outcome.SUPPORTED, Outcome.REFUTED),
        },
        sizes=(40, 100, 20, 200),
        sized=_SAMPLES,
        readings=(SECOND, AS_WRITTEN, FIRST),
        verdicts=_of_dynamism,
    ),
    "irreplaceability": Subject(
        truths={name: truth(world.supported) for name, world in _EFFECT_WORLDS.items()},
        false=TRUTHS_WRONG,
        sizes=(40, 100, 20, 200),
        sized="samples that are answered correctly",
        readings=(SECOND,),
        verdicts=_of_irreplaceability,
    ),
    "correlation": Subject(
        truths={name: truth(world.correlated) for name, world in hidden_worlds.WORLDS.items()},
        false=TRUTHS_WRONG,
        sizes=(40,),
        sized="samples",
        readings=(SECOND,),
        verdicts=_of_correlation,
        runs=100,
    ),
    "anticipation": Subject(
        truths={name: truth(world.anticipated) for name, world in hidden_worlds.WORLDS.items()},
        false=TRUTHS_WRONG,
        sizes=(40,),
        sized="samples",
        readings=(SECOND,),
        verdicts=_of_anticipation,
        runs=100,
    ),
    "alarm": Subject(
        truths={name: truth(world.supported) for name, world in _ALARM_WORLDS.items()},
        false=TRUTHS_WRONG,
        sizes=(200, 400),
        sized="wrong tokens",
        readings=(SECOND, DOUBT_ALONE),
        verdicts=_of_alarm,
    ),
}
"""What is simulated, by claim."""
