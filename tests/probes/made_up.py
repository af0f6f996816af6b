"""Traces whose hidden states and patterns relate in a known way."""

import zlib

import torch

from mechdyn.traces.trace import Trace

LAYERS, HEADS, D_MODEL, LATENTS = 2, 5, 24, 4
MODEL = {"name": "made up", "revision": "abc", "dtype": "float32", "n_layers": LAYERS, "n_heads": HEADS, "d_model": D_MODEL}


def trace_of(sample, scores, hidden, unit=None, threshold=0.0, model=MODEL, needle=None):
    """A trace with the given scores (step, layer, head) and hidden states; every sample has a needle of its own unless one is given."""
    return Trace(
        unit=unit or f"unit {sample}",
        sample=sample,
        task="niah",
        question="?",
        answer="the value",
        prompt_tokens=torch.tensor([zlib.crc32((needle or sample).encode()), 1, 2]),
        needle_positions=torch.arange(1),
        tokens=torch.arange(len(scores)),
        token_texts=tuple(map(str, range(len(scores)))),
        text="the value",
        retrieval_scores=scores.float(),
        hidden=hidden,
        threshold=threshold,
        meta={"model": model},
    )


def random_traces(n_samples=20, n_steps=6, seed=0, binary=True, **changes):
    """Nothing relates to anything; lengths vary around n_steps."""
    generator = torch.Generator().manual_seed(seed)
    traces = []
    for index in range(n_samples):
        length = n_steps + index % 3
        drawn = torch.rand(length, LAYERS, HEADS, generator=generator)
        traces.append(trace_of(f"s{index}", drawn < 0.3 if binary else drawn, torch.randn(length, D_MODEL, generator=generator), **changes))
    return traces


def planted_traces(known_offsets, n_samples=80, n_steps=16, seed=0):
    """Each step draws a latent that decides its heads; a hidden state holds the latents of the steps at `known_offsets` ahead, and noise.

    Heads retrieve at about a fifth of the steps; nothing repeats from one step to the next.
    """
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(LATENTS, LAYERS * HEADS, generator=generator)
    mix = mix / mix.norm(dim=0)
    ahead = max(known_offsets, default=0)
    traces = []
    for index in range(n_samples):
        latent = torch.randn(n_steps + ahead, LATENTS, generator=generator)
        scores = ((latent @ mix)[:n_steps] > 0.84).view(n_steps, LAYERS, HEADS)
        hidden = torch.randn(n_steps, D_MODEL, generator=generator)
        for place, offset in enumerate(known_offsets):
            hidden[:, place * LATENTS : (place + 1) * LATENTS] = 3 * latent[offset : offset + n_steps]
        traces.append(trace_of(f"s{index}", scores, hidden))
    return traces


def repeating_traces(n_samples=80, n_steps=16, seed=0):
    """Each sample has one pattern at every step, of which the hidden states know nothing."""
    generator = torch.Generator().manual_seed(seed)
    traces = []
    for index in range(n_samples):
        pattern = torch.rand(1, LAYERS, HEADS, generator=generator) < 0.3
        traces.append(trace_of(f"s{index}", pattern.expand(n_steps, -1, -1), torch.randn(n_steps, D_MODEL, generator=generator)))
    return traces


def by_step_traces(n_samples=60, n_steps=10, seed=0):
    """Each step has its own rate for each head and its own mean hidden state; about those, nothing relates to anything."""
    generator = torch.Generator().manual_seed(seed)
    rates, means = torch.rand(n_steps, LAYERS, HEADS, generator=generator) ** 2, 3 * torch.randn(n_steps, D_MODEL, generator=generator)
    traces = []
    for index in range(n_samples):
        scores = torch.rand(n_steps, LAYERS, HEADS, generator=generator) < rates
        traces.append(trace_of(f"s{index}", scores, means + torch.randn(n_steps, D_MODEL, generator=generator)))
    return traces


def flicker_traces(n_samples=60, n_steps=12, seed=0):
    """Each step draws its pattern anew, by rates of the heads; the hidden state is the pattern of its own step and knows no other."""
    generator = torch.Generator().manual_seed(seed)
    rates = torch.rand(LAYERS * HEADS, generator=generator) ** 2
    traces = []
    for index in range(n_samples):
        scores = (torch.rand(n_steps, LAYERS * HEADS, generator=generator) < rates).float()
        hidden = torch.cat([3 * scores, torch.zeros(n_steps, D_MODEL - LAYERS * HEADS)], dim=1)
        hidden = hidden + 0.3 * torch.randn(n_steps, D_MODEL, generator=generator)
        traces.append(trace_of(f"s{index}", scores.view(n_steps, LAYERS, HEADS), hidden))
    return traces


def rotating_traces(n_samples=80, n_steps=16, seed=0):
    """Each step's pattern is that of the step before, one head further; the hidden state is the pattern of its own step."""
    generator = torch.Generator().manual_seed(seed)
    traces = []
    for index in range(n_samples):
        pattern = torch.rand(LAYERS * HEADS, generator=generator) < 0.3
        scores = torch.stack([pattern.roll(step) for step in range(n_steps)]).float()
        hidden = torch.cat([3 * scores, torch.zeros(n_steps, D_MODEL - LAYERS * HEADS)], dim=1)
        traces.append(trace_of(f"s{index}", scores.view(n_steps, LAYERS, HEADS), hidden + 0.01))
    return traces
