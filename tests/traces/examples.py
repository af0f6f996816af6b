"""Random traces and manifests for the store's tests."""

import zlib
from dataclasses import fields

import torch

from mechdyn.traces.manifest import Manifest
from mechdyn.traces.trace import Trace

LAYERS, HEADS, D_MODEL = 3, 4, 8


def manifest(**changes):
    values = dict(
        model="tiny", revision="abc", dtype="float32", n_layers=LAYERS, n_heads=HEADS, d_model=D_MODEL, template="t", score="copy_paste"
    )
    return Manifest(**(values | changes))


def random_trace(unit, n_steps=5, binary=True, ablated=False, ablated_scores=False, n_sentences=0, threshold=0.0, seed=0):
    generator = torch.Generator().manual_seed(seed + zlib.crc32(unit.encode()))

    def scores():
        drawn = torch.rand(n_steps, LAYERS, HEADS, generator=generator)
        return (drawn < 0.3).float() if binary else drawn

    return Trace(
        unit=unit,
        sample=f"sample of {unit}",
        task="niah",
        question="What is the magic word?",
        answer="“Wörd”\n",
        prompt_tokens=torch.randint(0, 1000, (17,), generator=generator),
        needle_positions=torch.tensor([3, 4, 9]),
        tokens=torch.randint(0, 150_000, (n_steps,), generator=generator),
        token_texts=tuple(f" ü{step}" for step in range(n_steps)),
        text="an answer",
        retrieval_scores=scores(),
        hidden=torch.randn(n_steps, D_MODEL, generator=generator),
        sentence_scores=torch.rand(n_steps, n_sentences, generator=generator) if n_sentences else None,
        threshold=threshold,
        stopped="length",
        ablated=torch.rand(n_steps, LAYERS, HEADS, generator=generator) < 0.2 if ablated else None,
        ablated_scores=scores() if ablated_scores else None,
        meta={"depth": 0.25, "nested": {"list": [1, None, True]}, "name": "ß"},
    )


def assert_same(loaded, appended, hidden_dtype=torch.float16):
    for item in fields(Trace):
        got, wanted = getattr(loaded, item.name), getattr(appended, item.name)
        if item.name == "hidden":
            wanted = wanted.to(hidden_dtype)
        if isinstance(wanted, torch.Tensor):
            assert got.dtype == wanted.dtype, item.name
            assert torch.equal(got, wanted), item.name
        else:
            assert got == wanted, item.name
