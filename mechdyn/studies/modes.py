"""One list of heads off in several ways, beside random lists that exclude it: what "masking" does depends on what is meant by it.

A mode is a method and a scope (`mechdyn.decoding.ablation`). Under each, the same samples are answered with every head on, with the listed
heads off, and with each of several random lists off, drawn once: from all other heads (`random`), and in each layer as many as are listed
there (`random-layers`). Everything is compared sample by sample.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from mechdyn.evidence import Evidence
from mechdyn.heads import HeadSet, RankedHeads
from mechdyn.plans import EVALUATION, Plan, Preset, Request
from mechdyn.stats.interval import Interval
from mechdyn.stats.labels import Clusters
from mechdyn.stats.lists import mean_over_lists
from mechdyn.stats.means import paired_difference
from mechdyn.studies.conditions import CLEAN, KEPT, LISTED, RANDOM_LAYERS, ablation_json, quality, samples
from mechdyn.studies.random_lists import DRAWS, Leak, layer_matched_lists, leak, random_lists
from mechdyn.tasks.task import primary_metric
from mechdyn.traces.clusters import trace_clusters
from mechdyn.traces.trace import Trace

RANDOM = "random"
SHARE, MOST = 0.05, 30
"""The size of a list where none is asked for: this share of the model's heads, at most as many as Wu et al. switch off."""


@dataclass(frozen=True)
class Mode:
    """What takes a head's place, and where."""

    method: str
    scope: str

    def __str__(self) -> str:
        return f"{self.method}, {self.scope}"


def chosen_modes(methods: Sequence[str], scopes: Sequence[str]) -> tuple[Mode, ...]:
    """Every method at every scope, scope by scope."""
    return tuple(Mode(method, scope) for scope in scopes for method in methods)


@dataclass(frozen=True)
class HeadLists:
    """The heads that are switched off: those listed, and draws of both kinds of control."""

    listed: HeadSet
    random: tuple[HeadSet, ...]
    layered: tuple[HeadSet, ...]

    @classmethod
    def of(cls, listed: HeadSet, n_draws: int = DRAWS, seed: int = 0, excluded: HeadSet | None = None) -> "HeadLists":
        """`n_draws` of each control; `excluded` are more heads than the listed that no draw has.

        Raises:
            InputError: the model has too few other heads.
        """
        out = listed if excluded is None else listed | excluded
        return cls(listed, random_lists(len(listed), out, n_draws, seed), layer_matched_lists(listed, out, n_draws, seed))

    def by_condition(self) -> dict[str, tuple[HeadSet, ...]]:
        """The lists of each condition, in the order in which they are shown."""
        return {LISTED: (self.listed,), RANDOM: self.random, RANDOM_LAYERS: self.layered}

    @property
    def leak(self) -> Leak:
        """What a random list would share with the listed heads if they were not excluded."""
        return leak(len(self.listed), len(self.listed), self.listed.mask().numel())

    def as_json(self) -> dict[str, Any]:
        """Every list, how many heads each draw shares with the listed, and what a draw that did not exclude them would."""
        without = self.leak
        controls = {
            name: [{"heads": [str(head) for head in heads], "shared": len(heads & self.listed)} for heads in lists]
            for name, lists in self.by_condition().items()
            if name != LISTED
        }
        leaky = {"expected_shared": without.expected, "any_shared": without.any}
        return {"listed": [str(head) for head in self.listed], **controls, "were_the_listed_not_excluded": leaky}


@dataclass(frozen=True)
class ModeRow:
    """One condition in one mode, on the samples that failed in none.

    Attributes:
        mode: method and scope.
        condition: `listed`, `random` or `random-layers`.
        quality: the task's primary metric; of random lists the mean over draws, its interval over samples and draws.
        loss: every head on less this, paired by sample.
        beyond_half: half of every head on less this, paired: above 0 where more than half of what was right is lost.
        above_listed: this less the listed heads off, paired; None for those.
        draws: the metric of each draw.
    """

    mode: Mode
    condition: str
    quality: Interval
    loss: Interval
    beyond_half: Interval
    above_listed: Interval | None
    draws: tuple[float, ...]

    def as_json(self) -> dict[str, Any]:
        named = {"method": self.mode.method, "scope": self.mode.scope, "condition": self.condition}
        measured = {"quality": self.quality, "loss": self.loss, "beyond_half": self.beyond_half, "above_listed": self.above_listed}
        return {
            **named,
            **{name: None if interval is None else Evidence(name, interval).as_json() for name, interval in measured.items()},
            "draws": self.draws,
        }


@dataclass(frozen=True)
class ModesTable:
    """What was measured: the metric with every head on, a row for each condition and mode, how many samples failed in any."""

    metric: str
    clean: Interval
    rows: tuple[ModeRow, ...]
    n_failed: int

    def as_json(self) -> dict[str, Any]:
        clean = Evidence(self.metric, self.clean).as_json()
        return {"metric": self.metric, "clean": clean, "failed": self.n_failed, "rows": [row.as_json() for row in self.rows]}

    def row(self, mode: Mode, condition: str) -> ModeRow:
        """The row of a condition in a mode."""
        return next(row for row in self.rows if row.mode == mode and row.condition == condition)


def usual_size(total: int) -> int:
    """How many heads of a model are listed where none is asked for: 5 % of them, rounded, at least 1 and at most 30."""
    return max(1, min(MOST, round(SHARE * total)))


def first_heads(ranked: RankedHeads, total: int) -> HeadSet:
    """The first heads of a ranking, as many as `usual_size` says and the ranking has."""
    return ranked.top(min(usual_size(total), len(ranked.heads)))


def mode_role(mode: Mode, condition: str, draw: int = 0) -> str:
    """The role of one list in one mode."""
    return f"{mode}: {condition}" + ("" if condition == LISTED else f" {draw}")


_ROLE = re.compile(rf"(?:.*: )?([^:]+): ({LISTED}|{RANDOM}|{RANDOM_LAYERS})(?: ([0-9]+))?")


def name_of_role(role: str) -> str | None:
    """The condition of a role as conditions are named to readers, `random, uniform, decode (draw 3)`; None of a role that is none of these.

    Stored with a trace are the heads that were off; that they are the listed ones, or which draw, the role alone says.
    """
    found = _ROLE.fullmatch(role)
    if found is None:
        return None
    mode, condition, draw = found.groups()
    return f"{condition}, {mode}" + (f" (draw {draw})" if draw else "")


def modes_plan(request: Request, preset: Preset, lists: HeadLists, hows: Mapping[Mode, Mapping[str, Any]]) -> Plan:
    """The evaluation samples with every head on, and under every mode with each list off.

    Args:
        request: model, task and seed.
        preset: lengths, depths and samples a cell.
        lists: the heads.
        hows: for each mode the rest of an ablation's JSON: method, scope, and what the method needs.
    """
    roles = {CLEAN: samples(request, preset, EVALUATION)}
    for mode, how in hows.items():
        for condition, each in lists.by_condition().items():
            for draw, heads in enumerate(each):
                schedule = {"kind": "static", "heads": [str(head) for head in heads]}
                ablation = ablation_json(schedule, how, KEPT[mode.scope][0])
                roles[mode_role(mode, condition, draw)] = samples(request, preset, EVALUATION, ablation)
    return Plan(roles)


def modes_table(traces: Mapping[str, Sequence[Trace]], modes: Sequence[Mode], n_draws: int, seed: int = 0) -> ModesTable:
    """The rows of every mode; a sample whose generation failed in any condition is left out of all."""
    kept, clusters, n_failed = qualities(traces)
    clean = kept[CLEAN]
    rows = []
    for mode in modes:
        listed = condition_values(kept, mode, LISTED, n_draws)
        for condition in (LISTED, RANDOM, RANDOM_LAYERS):
            found = condition_values(kept, mode, condition, n_draws)
            row = ModeRow(
                mode=mode,
                condition=condition,
                quality=mean_over_lists(found, seed, clusters),
                loss=loss_interval(clean, found, seed, clusters),
                beyond_half=mean_over_lists(clean / 2 - found, seed, clusters),
                above_listed=None if condition == LISTED else mean_over_lists(found - listed, seed, clusters),
                draws=tuple(found.mean(axis=1).tolist()) if found.shape[1] else (),
            )
            rows.append(row)
    return ModesTable(primary_metric(traces[CLEAN][0].task), mean_over_lists(clean[None], seed, clusters), tuple(rows), n_failed)


def qualities(
    traces: Mapping[str, Sequence[Trace]],
) -> tuple[dict[str, Float[np.ndarray, " sample"]], Int[np.ndarray, " sample"], int]:
    """The primary metric of each answer by role, without the samples that failed in any role; their clusters; and how many failed."""
    values = {role: quality(found, found[0].task)[primary_metric(found[0].task)] for role, found in traces.items()}
    failed = np.isnan(np.stack(list(values.values()))).any(axis=0)
    clusters = trace_clusters([trace for trace, out in zip(next(iter(traces.values())), failed, strict=True) if not out])
    return {role: row[~failed] for role, row in values.items()}, clusters, int(failed.sum())


def condition_values(
    kept: Mapping[str, Float[np.ndarray, " sample"]], mode: Mode, condition: str, n_draws: int
) -> Float[np.ndarray, "list sample"]:
    """One row of answers for each list of a condition."""
    return np.stack([kept[mode_role(mode, condition, draw)] for draw in range(1 if condition == LISTED else n_draws)])


def loss_interval(
    clean: Float[np.ndarray, " sample"], found: Float[np.ndarray, "list sample"], seed: int = 0, clusters: Clusters | None = None
) -> Interval:
    """Clean less what was found, paired by sample; of one list as `paired_difference` has it."""
    return paired_difference(clean, found[0], clusters, seed=seed) if len(found) == 1 else mean_over_lists(clean - found, seed, clusters)
