"""What a step copies to the host does not grow with its rows: on a GPU each copy waits for the device."""

from dataclasses import replace

import pytest
import torch

from mechdyn.decoding.trace import trace_many
from mechdyn.models.load import load_model
from mechdyn.tasks.niah import niah

COPIES = ("cpu", "item", "tolist", "numpy")
MOST = 8
"""Copies a forward: what is told of the tokens, scores, scores of sentences with those that have any, hidden states; with room to spare."""


@pytest.fixture
def copies(monkeypatch):
    """How often tensors have gone to the host."""
    counted = [0]

    def counting(original):
        def call(*args, **options):
            counted[0] += 1
            return original(*args, **options)

        return call

    for name in COPIES:
        monkeypatch.setattr(torch.Tensor, name, counting(getattr(torch.Tensor, name)))
    return counted


@pytest.mark.parametrize("ablate", [None, "L3H6 L4H1"])
def test_a_step_of_many_rows_copies_no_more_often_than_one_of_a_single_row(copies, ablate):
    model = replace(load_model("mini"), eos_ids=())

    def a_step(n_rows: int) -> float:
        samples = [niah(model, length=96, depth=0.5, seed=seed) for seed in range(n_rows)]
        found = []
        for n_steps in (2, 5):
            before = copies[0]
            assert all(each.n_steps == n_steps for each in trace_many(model, samples, ablate=ablate, max_new_tokens=n_steps))
            found.append(copies[0] - before)
        return (found[1] - found[0]) / 3

    alone, many = a_step(1), a_step(4)
    assert 0 < many <= MOST
    assert many <= alone
