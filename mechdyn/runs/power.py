"""How many samples a verdict needs and what running them takes: from a finished run as a pilot, or in a simulated world."""

from dataclasses import dataclass, replace

from mechdyn.claims.claim import Claim, get_claim
from mechdyn.claims.power import (
    DETECTION,
    SIZES,
    Power,
    check_sizes,
    effect_outcome,
    power_of,
    redrawn,
    scaled,
    with_range,
    world_outcome,
)
from mechdyn.errors import InputError, StoreError
from mechdyn.models.budget import Budget, RunSize, budget_of
from mechdyn.runs.configs import BudgetConfig
from mechdyn.runs.contents import Judged
from mechdyn.runs.finished import Roles
from mechdyn.runs.read import Run, read_run
from mechdyn.studies.conditions import by_sample
from mechdyn.studies.effect_worlds import WORLDS as EFFECT_WORLDS
from mechdyn.studies.worlds import WORLDS, request_for, simulate

IRREPLACEABILITY = "irreplaceability"
"""The claim whose worlds are of effects, not of traces."""
USUAL_WORLD, USUAL_EFFECT_WORLD = "half by token, half fixed", "own heads matter twice as much as static ones"
N_PILOT = 100
"""Samples of a simulated pilot, for claims that must not see a sample twice."""


@dataclass(frozen=True, eq=False)
class PlannedPower:
    """The power curve, and the budget of a run with the most samples of it; one with n takes n / most of its time."""

    power: Power
    budget: Budget
    most: int

    def seconds(self, n: int) -> float:
        """The time of a run of `n` samples."""
        return self.budget.seconds * n / self.most


def plan_power(config: BudgetConfig, size: RunSize) -> PlannedPower:
    """The power of a claim's verdict at each number of samples, and what a run takes.

    With a pilot, prompts are as long as its longest, there are as many to a sample as it has, and the model is its own unless another is
    asked for.

    Raises:
        InputError: an unknown claim or world, a pilot of another claim, or one that nothing can be planned from.
        StoreError: the pilot's folder is not that of a finished run.
    """
    claim, sizes = get_claim(str(config.claim)), sorted(set(config.samples or SIZES))
    check_sizes(sizes, config.draws)
    if config.pilot is not None and config.world is not None:
        raise InputError("power is planned from a pilot or in a simulated world; give --pilot or --world, not both")
    if config.pilot is None:
        power, model = _in_world(claim, config.world, sizes, config.draws), config.model or "mini"
    else:
        run = read_run(config.pilot)
        power, size = _from_pilot(claim, run, sizes, config.draws), _size_of(run.folder.roles, size)
        model = config.model or run.folder.record.source
    most = max(sizes)
    size = replace(size, n_samples=size.n_samples * most)
    return PlannedPower(power, budget_of(model, size, device=config.device, dtype=config.dtype), most)


def _from_pilot(claim: Claim, run: Run, sizes: list[int], draws: int) -> Power:
    if not isinstance(run.content, Judged) or run.content.verdict is None or run.content.verdict.claim != claim.name:
        raise StoreError(f"{run.folder.path} is no finished run of {claim.name}; make one with: mechdyn verify {claim.name} --out FOLDER")
    pilot = run.content.verdict
    n_pilot = max(len(by_sample(traces)) for role, traces in run.folder.roles.items() if role != DETECTION)
    if not getattr(claim, "takes_repeats", False):
        return scaled(pilot, n_pilot, sizes)
    how = f"up to {draws} runs of each n, redrawn from a pilot of {n_pilot} samples and judged; 95 % of the draws"
    decide = redrawn(claim, run.folder.request, run.folder.roles)
    return with_range(power_of(decide, sizes, draws, claim.name, how), pilot, n_pilot)


def _in_world(claim: Claim, name: str | None, sizes: list[int], draws: int) -> Power:
    worlds = {each.name: each for each in EFFECT_WORLDS} if claim.name == IRREPLACEABILITY else {}
    known = worlds or WORLDS
    chosen = name or (USUAL_EFFECT_WORLD if worlds else USUAL_WORLD)
    if chosen not in known:
        raise InputError(f"unknown world {chosen!r} for {claim.name}; give one of {'; '.join(known)}")
    how = f"up to {draws} simulated runs of each n in the world {chosen!r}; 95 % of the runs"
    if worlds:
        return power_of(effect_outcome(worlds[chosen]), sizes, draws, claim.name, how)
    world = WORLDS[chosen]
    if getattr(claim, "takes_repeats", False):
        return power_of(world_outcome(claim, world), sizes, draws, claim.name, how)
    pilot = getattr(claim, "pilot", claim.judge)
    return scaled(pilot(request_for(world), simulate(world, N_PILOT)), N_PILOT, sizes)


def _size_of(roles: Roles, asked: RunSize) -> RunSize:
    """What one sample of the pilot takes: its prompts, each under as many conditions; none is longer than the longest."""
    traces = [trace for found in roles.values() for trace in found]
    largest = max(len(by_sample(found)) for role, found in roles.items() if role != DETECTION)
    prompts = len({trace.sample for trace in traces})
    return replace(
        asked,
        lengths=(max(len(trace.prompt_tokens) for trace in traces),),
        n_samples=max(1, round(prompts / largest)),
        n_conditions=max(1, round(len(traces) / prompts)),
        n_new=max(1, *(trace.n_steps for trace in traces)),
        ablate=any(trace.ablated is not None for trace in traces),
    )
