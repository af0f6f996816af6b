"""What is lost before the needle's end and behind it adds up to what is lost."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.kv_budgets import PartLosses, needle_end, parts_tables
from mechdyn.studies.kv_budgets import CacheLosses
from tests.claims.test_step_budgets import EVEN, N_STEPS, answer, effects


def babbling(index, end):
    """An answer whose text has the needle after `end` tokens, and goes on."""
    made = answer(index, budgets=effects(index, {**EVEN, "oracle": 0.6}))
    texts = tuple("v" if step < end else "!" for step in range(N_STEPS))
    return replace(made, token_texts=texts, text="".join(texts), answer="v" * end)


def test_the_needle_ends_at_the_token_that_completes_it():
    assert needle_end(babbling(0, 4)) == 4 and needle_end(replace(babbling(0, 4), answer="w")) == N_STEPS


def test_both_parts_together_are_the_loss():
    traces = [babbling(index, 3) for index in range(20)]
    first, second = PartLosses([(trace, range(1, 3)) for trace in traces], 0), PartLosses([(trace, range(3, 6)) for trace in traces], 0)
    whole = CacheLosses(traces)
    for source in ("static", "oracle"):
        assert np.allclose(first.area(source) * 2 / 5 + second.area(source) * 3 / 5, whole.area(source), atol=1e-6)
    assert first.gain("static", "oracle").estimate == pytest.approx((first.area("static") - first.area("oracle")).mean())
    tables = parts_tables(traces, 0)
    assert [table.title for table in tables] == ["Up to the needle's end", "Behind it"]
    assert parts_tables([babbling(index, N_STEPS) for index in range(20)], 0)[0].title == tables[0].title
    assert not parts_tables(traces[:19], 0)
