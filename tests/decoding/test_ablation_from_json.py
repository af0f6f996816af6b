"""An ablation read from its JSON is the ablation that wrote it."""

import pytest
import torch

from mechdyn.decoding.ablation import Ablation, ReferenceActivations, ablation_from_json
from mechdyn.errors import InputError
from mechdyn.heads import Head, HeadSet, rank_heads
from mechdyn.schedules import Dynamic, NoAblation, Observation, RandomHeads, SizeMatched, Static

LAYERS, HEADS = 3, 4
RANKING = rank_heads(
    [(Head(layer, head), float((7 * layer + 5 * head) % 11)) for layer in range(LAYERS) for head in range(HEADS)], LAYERS, HEADS
)
SCHEDULES = {
    "none": NoAblation(),
    "dynamic": Dynamic(),
    "top": Dynamic(top_k=2),
    "static": Static(HeadSet.of([(0, 1), (2, 3)], LAYERS, HEADS)),
    "fresh": RandomHeads(3, seed=5),
    "fixed": RandomHeads(3, seed=5, fresh=False),
    "layers": RandomHeads(seed=1, matched="layer"),
    "ranking": SizeMatched(RANKING),
    "random, matched": SizeMatched(RandomHeads(seed=2, fresh=False)),
}


def observation(seed):
    generator = torch.Generator().manual_seed(seed)
    scores = (torch.rand(LAYERS, HEADS, generator=generator) < 0.4).float()
    patterns = tuple(torch.rand(LAYERS, HEADS, 7, generator=generator))
    return Observation(f"sample {seed}", seed, scores, scores > 0, patterns)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("commit", ["clean", "ablated"])
def test_reading_gives_back_what_was_written(name, commit):
    written = Ablation(SCHEDULES[name], scope="all", commit=commit)
    read = ablation_from_json(written.as_json(), LAYERS, HEADS)
    assert read.as_json() == written.as_json()
    assert (read.method, read.scope, read.commit) == ("zero", "all", commit)
    for seed in range(8):
        assert torch.equal(read.schedule.heads(observation(seed)), written.schedule.heads(observation(seed)))


def test_nothing_is_no_ablation():
    assert ablation_from_json({}, LAYERS, HEADS) is None


@pytest.mark.parametrize("method", ["mean", "resample"])
def test_reference_activations_are_named_by_their_hash(method):
    reference = ReferenceActivations(torch.randn(3, LAYERS, HEADS, 2, generator=torch.Generator().manual_seed(0)))
    written = Ablation(Dynamic(), method=method, reference=reference, seed=9).as_json()
    assert ablation_from_json(written, LAYERS, HEADS, reference).as_json() == written
    with pytest.raises(InputError, match=f"{method} ablation needs reference activations"):
        ablation_from_json(written, LAYERS, HEADS)
    with pytest.raises(InputError, match="reference activations are others than those the unit names"):
        ablation_from_json(written, LAYERS, HEADS, ReferenceActivations(reference.z + 1))


def test_a_reference_that_is_not_needed_is_left_out():
    reference = ReferenceActivations(torch.zeros(1, LAYERS, HEADS, 2))
    written = Ablation(Dynamic()).as_json()
    assert ablation_from_json(written, LAYERS, HEADS, reference).as_json() == written


BAD = {
    "head outside the model": ({"schedule": {"kind": "static", "heads": ["L3H0"]}}, "head L3H0 is outside a model of 3 layers x 4 heads"),
    "ranking outside the model": ({"schedule": {"kind": "size-matched", "ranking": ["L0H9"]}}, "head L0H9 is outside a model"),
    "a head twice": ({"schedule": {"kind": "size-matched", "ranking": ["L0H1", "L0H1"]}}, "a ranking names each head once"),
    "no head": ({"schedule": {"kind": "static", "heads": ["4-7"]}}, "a head is written like L4H7"),
    "k above the heads": ({"schedule": {"kind": "dynamic", "top_k": 13}}, "top_k must lie between 0 and 12"),
    "random k above the heads": ({"schedule": {"kind": "random", "k": 13}}, "k must lie between 0 and 12"),
    "unknown schedule": ({"schedule": {"kind": "magic"}}, "unknown schedule 'magic'; give one of .*static"),
    "no schedule": ({"method": "zero"}, r"a schedule is written as {'kind': ..., argument: value}, got {}"),
    "unknown argument": ({"schedule": {"kind": "dynamic", "k": 1}}, "schedule 'dynamic' does not take"),
    "missing argument": ({"schedule": {"kind": "static"}}, "schedule 'static' does not take"),
    "unknown method": (
        {"schedule": {"kind": "dynamic"}, "method": "mask"},
        "method must be one of zero, mean, resample, uniform, got 'mask'",
    ),
    "unknown option": ({"schedule": {"kind": "dynamic"}, "colour": 1}, "an ablation has schedule, method, scope"),
    "matched to a static list": (
        {"schedule": {"kind": "size-matched", "of": {"kind": "dynamic"}}},
        "a size-matched schedule is of a ranking or of random heads",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_content_is_one_line(case):
    content, message = BAD[case]
    with pytest.raises(InputError, match=message) as caught:
        ablation_from_json(content, LAYERS, HEADS)
    assert "\n" not in str(caught.value)
