"""The simulation of coverage: exact where it can be, worlds whose truth is what they say."""

import numpy as np
import pytest
from scipy import stats

from experiments.coverage.__main__ import TABLES, coverage, exact_coverage, filled, proportions_table
from experiments.coverage.claim_worlds import fitted
from experiments.coverage.worlds import World
from mechdyn.evidence import Table
from mechdyn.stats.interval import Interval

WORLDS = [world for _, made in TABLES.values() for world in made()]


def test_an_interval_that_always_or_never_holds_the_truth():
    always = World("always", 0.5, lambda rng, n: Interval(0.5, 0.0, 1.0, n))
    never = World("never", 0.5, lambda rng, n: Interval(0.1, 0.0, 0.2, n))
    unknown = World("unknown", 0.5, lambda rng, n: Interval(0.5, float("nan"), float("nan"), n))
    assert [coverage(world, 20, 10) for world in (always, never)] == [(1.0, 0.0), (0.0, 0.0)]
    assert coverage(unknown, 20, 10) == (pytest.approx(float("nan"), nan_ok=True), 1.0)


def test_a_run_without_an_interval_is_counted_apart():
    half = World("half", 0.5, lambda rng, n: Interval(0.5, *((0.4, 0.6) if rng.random() < 0.5 else (float("nan"),) * 2), n))
    held, without = coverage(half, 20, 200)
    assert held == 1.0
    assert without == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_exact_coverage_is_a_sum_over_counts(share):
    held = 0.0
    for hits in range(31):
        bounds = stats.binomtest(hits, 30).proportion_ci(0.95, method="wilson")
        held += stats.binom.pmf(hits, 30, share) * (bounds.low <= share <= bounds.high)
    assert exact_coverage(30, np.array([share]))[0] == pytest.approx(held)


def test_the_table_of_proportions_marks_what_lies_outside():
    rows = dict(zip(("what", "20", "40", "100", "200"), zip(*proportions_table().rows, strict=True), strict=True))
    assert rows["what"][0] == "p = 0.5"
    assert rows["20"][rows["what"].index("p = 0.99")] == "98.3 *"


def test_a_table_goes_between_its_own_marks():
    page = "# Title\n\n<!-- one -->\n<!-- end -->\n\n<!-- two -->\nold\n<!-- end -->\n\nrest"
    once = filled(page, "one", Table("first", ("a",), (("1",),)))
    both = filled(once, "two", Table("second", ("b",), (("2",),)))
    assert filled(both, "one", Table("first", ("a",), (("1",),))) == both
    assert [both.count(part) for part in ("## first", "## second", "old", "<!-- end -->", "rest")] == [1, 1, 0, 2, 1]


def test_without_a_truth_it_is_what_the_runs_come_to_on_average():
    around = World("around", None, lambda rng, n: Interval(value := float(rng.choice([0.0, 1.0])), value - 0.7, value + 0.7, n))
    beside = World("beside", None, lambda rng, n: Interval(value := float(rng.choice([0.0, 1.0])), value - 0.1, value + 0.1, n))
    assert (coverage(around, 20, 100), coverage(beside, 20, 100)) == ((1.0, 0.0), (0.0, 0.0))


@pytest.mark.parametrize("world", fitted(), ids=lambda world: world.name)
def test_what_is_fitted_has_an_interval_about_its_estimate(world):
    found = world.measure(np.random.default_rng(1), 100)
    assert found.low < found.estimate < found.high


@pytest.mark.parametrize("world", [world for world in WORLDS if world.truth is not None], ids=lambda world: world.name)
def test_the_truth_of_a_world_is_what_many_samples_come_to(world):
    rng = np.random.default_rng(1)
    estimates = [world.measure(rng, 300).estimate for _ in range(12 if world.heavy or world.at_most < 1000 else 60)]
    assert np.mean(estimates) == pytest.approx(world.truth, abs=max(4.5 * np.std(estimates) / len(estimates) ** 0.5, 1e-3))
