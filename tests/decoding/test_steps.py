"""Which rows a forward has: those that say the same are one, and those whose heads are known run beside it."""

import dataclasses

import pytest
import torch

from mechdyn.decoding.ablation import Ablation
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.reference import ReferenceEngine
from mechdyn.decoding.trace import trace, trace_conditions
from mechdyn.heads import heads
from mechdyn.models.load import wrap_model
from mechdyn.schedules import Dynamic, RandomHeads, SizeMatched, Static
from mechdyn.tasks.sample import Sample
from tests.architectures import STYLES, tiny_model
from tests.bundled import mini_tokenizer

N_NEW = 6


@pytest.fixture(scope="module", params=STYLES)
def model(request):
    wrapped = wrap_model(tiny_model(request.param, seed=3), mini_tokenizer(), name=request.param)
    return dataclasses.replace(wrapped, eos_ids=())


def samples():
    generator = torch.Generator().manual_seed(5)
    prompts = [torch.randint(6, 2000, (length,), generator=generator) for length in (70, 83)]
    return [Sample("niah", f"{i}", prompt, ((0, 1),), torch.arange(3, 40), (0, 1), "?", "!") for i, prompt in enumerate(prompts)]


@pytest.fixture
def fed(monkeypatch):
    """Rows of every forward, and whether any head was off."""
    found, step = [], FastEngine.step

    def counted(self, state, tokens, edit=None, observed=None):
        found.append((len(tokens), edit is not None))
        return step(self, state, tokens, edit, observed)

    monkeypatch.setattr(FastEngine, "step", counted)
    return found


def test_rows_that_say_the_same_are_one(model, fed):
    """Heads that nobody switches off change nothing: every condition is the clean one."""
    never = {name: SizeMatched(RandomHeads(seed=seed)) for seed, name in enumerate("abc")}
    found = trace_conditions(model, samples(), {"clean": None} | never, threshold=2.0, max_new_tokens=N_NEW, engine="fast")
    assert fed == [(2, False)] * N_NEW
    assert all(each.tokens.tolist() == every["clean"].tokens.tolist() for every in found for each in every.values())


def test_heads_that_are_known_run_beside_the_rows_that_observe(model, fed):
    trace_conditions(model, samples(), {"clean": None, "static": Static(heads("L0H1 L1H0"))}, max_new_tokens=N_NEW, engine="fast")
    assert len(fed) == N_NEW and all(edits and 4 <= rows <= 6 for rows, edits in fed)


CONDITIONS = {
    "clean": None,
    "dynamic": Dynamic(),
    "static": Static(heads("L0H1 L1H0")),
    "random": RandomHeads(3, seed=1),
    "once": RandomHeads(3, seed=1, fresh=False),
    "layers": RandomHeads(matched="layer", seed=2, exclude="active"),
    "matched": SizeMatched(RandomHeads(seed=3, exclude="active")),
}


@pytest.mark.parametrize("commit", ["clean", "ablated"])
def test_all_conditions_together_are_each_by_itself(model, commit):
    """Against the reference engine, which shares nothing, a condition and a sample at a time."""
    options = {"score": "mass", "threshold": 0.3, "max_new_tokens": N_NEW}
    conditions = {name: None if each is None else Ablation(each, commit=commit) for name, each in CONDITIONS.items()}
    together = trace_conditions(model, samples(), conditions, engine="fast", **options)
    for sample, found in zip(samples(), together, strict=True):
        for name, ablation in conditions.items():
            alone = trace(model, sample, ablate=ablation, engine=ReferenceEngine(model), keep_sources=0, **options)
            assert found[name].tokens.tolist() == alone.tokens.tolist(), name
            torch.testing.assert_close(found[name].retrieval_scores, alone.retrieval_scores, atol=1e-4, rtol=0)
            torch.testing.assert_close(found[name].hidden, alone.hidden, atol=1e-4, rtol=0)
            assert (found[name].ablated is None) == (alone.ablated is None)
            if alone.ablated is not None:
                assert torch.equal(found[name].ablated, alone.ablated), name
                torch.testing.assert_close(found[name].ablated_scores, alone.ablated_scores, atol=1e-4, rtol=0)
