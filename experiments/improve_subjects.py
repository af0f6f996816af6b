"""What docs/verdicts/improve-rates.md simulates: the verdicts on what is done with heads, `step_budgets` and `retmask`."""

from collections.abc import Mapping

import numpy as np

from experiments.error_subjects import TRUTHS_WRONG, Outcomes, Subject, truth
from mechdyn.claims import retmask, step_budgets
from mechdyn.claims.retmask import ALL_HEADS, NON_RETRIEVAL, RETMASK, WEAKER, Arm, judge_retmask
from mechdyn.evidence import outcome
from mechdyn.studies import budget_worlds, retmask_worlds
from mechdyn.traces.budgets import ORACLE, SAMPLE, STATIC

_ARMS = {"retmask": RETMASK, "random_non_retrieval": NON_RETRIEVAL, "random_of_all": ALL_HEADS, "weaker_model": WEAKER}
_PAIRS = 80
SMALL = f"a gain beyond every control that is smaller than {retmask.MARGIN}: supported and refuted are both right"


def _of_step_budgets(world: str, n: int, seed: int) -> Outcomes:
    found = budget_worlds.simulate_losses(budget_worlds.WORLDS[world], n, seed)
    return {step_budgets.NAMED: outcome(*step_budgets.criteria(found, {STATIC: ORACLE, SAMPLE: ORACLE}))}


def _of_retmask(world: str, n: int, seed: int) -> Outcomes:
    found = retmask_worlds.simulate_trainings(retmask_worlds.WORLDS[world], n, seed)
    unknown = (float("nan"),) * retmask_worlds.N_SEEDS
    arms = {_ARMS[name]: Arm(values, (_PAIRS,) * len(values), unknown, unknown) for name, values in found.arms.items()}
    return {retmask.NAMED: judge_retmask("made up", found.base, arms, np.arange(n).tolist()).outcome}


def _truth_of_retmask(world: retmask_worlds.TrainingWorld) -> str:
    """By the claim's own margin, a gain of less than 0.02 over a control is none that is worth having."""
    return SMALL if 0 < world.least < retmask.MARGIN else truth(world.supported)


IMPROVE_SUBJECTS: Mapping[str, Subject] = {
    "step_budgets": Subject(
        truths={name: truth(world.supported) for name, world in budget_worlds.WORLDS.items()},
        false=TRUTHS_WRONG,
        sizes=(40, 100, 20),
        sized="samples that are answered correctly with the whole cache",
        readings=(step_budgets.NAMED,),
        verdicts=_of_step_budgets,
    ),
    "retmask": Subject(
        truths={name: _truth_of_retmask(world) for name, world in retmask_worlds.WORLDS.items()},
        false={**TRUTHS_WRONG, SMALL: ()},
        sizes=(100, 400, 2000, 40),
        sized="samples, answered by three models of each arm",
        readings=(retmask.NAMED,),
        verdicts=_of_retmask,
    ),
}
"""What is simulated, by claim."""
