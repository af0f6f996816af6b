"""One list in several modes: units as the engine writes ablations, and numbers that were planted."""

import numpy as np
import pytest

from mechdyn.decoding.ablation import Ablation
from mechdyn.heads import Head, HeadSet, RankedHeads
from mechdyn.plans import Preset, Request
from mechdyn.schedules import Static
from mechdyn.studies.conditions import CLEAN, LISTED, RANDOM_LAYERS
from mechdyn.studies.modes import (
    RANDOM,
    HeadLists,
    Mode,
    chosen_modes,
    first_heads,
    loss_interval,
    mode_role,
    modes_plan,
    modes_table,
    usual_size,
)
from mechdyn.tasks.niah import Niah
from tests.studies.made_up import MODEL, N_HEADS, N_LAYERS, made_up

DRAWS = 4
MODES = chosen_modes(("zero", "uniform"), ("position", "decode", "all"))


def lists():
    return HeadLists.of(HeadSet.of([(1, 0), (1, 2)], N_LAYERS, N_HEADS), DRAWS)


def in_modes(right, modes=MODES, n=40):
    """Traces by role; `right[condition]` is how many samples are right, the first ones, or a tuple of that for each draw."""
    traces = {CLEAN: [made_up(seed, right=seed < right[CLEAN]) for seed in range(n)]}
    for mode in modes:
        for condition in (LISTED, RANDOM, RANDOM_LAYERS):
            counts = right[condition] if isinstance(right[condition], tuple) else (right[condition],) * DRAWS
            for draw, count in enumerate(counts[: 1 if condition == LISTED else DRAWS]):
                traces[mode_role(mode, condition, draw)] = [made_up(seed, right=seed < count, n_ablated=2) for seed in range(n)]
    return traces


def test_units_are_what_the_engine_writes():
    hows = {mode: {"method": mode.method, "scope": mode.scope} for mode in MODES}
    plan = modes_plan(Request(MODEL, Niah()), Preset((128,), 1, (0.5,)), lists(), hows)
    assert set(plan.roles) == set(in_modes({CLEAN: 1, LISTED: 1, RANDOM: 1, RANDOM_LAYERS: 1}))
    for mode in MODES:
        for condition, each in lists().by_condition().items():
            for draw, heads in enumerate(each):
                (unit,) = plan.roles[mode_role(mode, condition, draw)]
                assert unit.ablation == Ablation(Static(heads), mode.method, mode.scope).as_json()


def test_the_table_has_what_was_planted():
    table = modes_table(in_modes({CLEAN: 40, LISTED: 4, RANDOM: (40, 36, 32, 36), RANDOM_LAYERS: 20}), MODES, DRAWS)
    assert table.clean.estimate == 1.0 and table.n_failed == 0 and len(table.rows) == 3 * len(MODES)
    for mode in MODES:
        listed, random, layers = (table.row(mode, condition) for condition in (LISTED, RANDOM, RANDOM_LAYERS))
        assert (listed.quality.estimate, listed.loss.estimate, listed.beyond_half.estimate) == pytest.approx((0.1, 0.9, 0.4))
        assert listed.above_listed is None and listed.draws == (0.1,)
        assert (random.quality.estimate, random.above_listed.estimate) == pytest.approx((0.9, 0.8))
        assert random.draws == pytest.approx((1.0, 0.9, 0.8, 0.9)) and random.quality.n == 40
        assert layers.loss.estimate == pytest.approx(0.5) and layers.loss.low < 0.5 < layers.loss.high


def test_a_failed_sample_is_left_out_of_every_row():
    traces = in_modes({CLEAN: 40, LISTED: 0, RANDOM: 40, RANDOM_LAYERS: 40})
    role = mode_role(MODES[0], RANDOM, 2)
    traces[role][3] = made_up(3, stopped="error", n_ablated=2)
    table = modes_table(traces, MODES, DRAWS)
    assert table.n_failed == 1 and {row.quality.n for row in table.rows} == {39}


@pytest.mark.parametrize(("total", "size"), [(1024, 30), (270, 14), (80, 4), (32, 2), (6, 1)])
def test_the_usual_size(total, size):
    assert usual_size(total) == size
    ranked = RankedHeads(tuple(Head(0, head) for head in range(3)), (3.0, 2.0, 1.0))
    assert len(first_heads(ranked, total)) == min(size, 3)
    assert str(Mode("uniform", "decode")) == "uniform, decode"


def test_one_list_is_paired_in_clusters():
    values = np.random.default_rng(3).random((2, 24))
    copied = np.repeat(values, 3, axis=1)
    one, three = loss_interval(values[0], values[1:], 1), loss_interval(copied[0], copied[1:], 1, np.repeat(np.arange(24), 3))
    assert (three.low, three.high) == pytest.approx((one.low, one.high))
