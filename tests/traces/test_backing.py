"""A store gives a trace its backing back as it was, and a trace without has none."""

import dataclasses

import pytest
import torch

from mechdyn.heads import Head
from mechdyn.traces.backing import Backing, rounded
from mechdyn.traces.store import TraceStore
from tests.traces.examples import manifest, random_trace

HEADS = (Head(1, 0), Head(0, 1))


@pytest.mark.parametrize("n_steps", [0, 5])
def test_a_store_keeps_it_beside_its_trace(tmp_path, n_steps):
    plain, trace = random_trace("a", n_steps), random_trace("b", n_steps)
    generator = torch.Generator().manual_seed(1)
    numbers = (rounded(torch.rand(n_steps, generator=generator)) for _ in range(3))
    mass = rounded(torch.rand(n_steps, 2, generator=generator))
    trace = dataclasses.replace(trace, backing=Backing(HEADS, *numbers, mass, mass > 0.5))
    store = TraceStore.create(tmp_path / "store", manifest())
    store.append([plain, trace])
    without, found = TraceStore.open(tmp_path / "store").load(["a", "b"])
    assert without.backing is None and found.meta == trace.meta
    assert found.backing.heads == HEADS
    for field in ("entropy", "max_p", "margin", "mass", "copies"):
        assert torch.equal(getattr(found.backing, field), getattr(trace.backing, field))
