"""Traces made up by hand: what a figure shows is known beforehand."""

from typing import Any

import numpy as np
import torch

from mechdyn.traces.trace import Trace


def made_up(scores: Any, texts: Any = None, **fields: Any) -> Trace:
    """A trace with these scores [step, layer, head]; every other field is plausible and can be given."""
    scores = torch.as_tensor(np.asarray(scores), dtype=torch.float32)
    n_steps = len(scores)
    texts = tuple(texts or (f"t{step}" for step in range(n_steps)))
    known: dict[str, Any] = {
        "unit": "u",
        "sample": "s",
        "task": "niah",
        "question": "What is the magic word?",
        "answer": "abc",
        "prompt_tokens": torch.arange(100, 140),
        "needle_positions": torch.arange(10, 15),
        "tokens": torch.arange(n_steps),
        "token_texts": texts,
        "text": "".join(texts),
        "retrieval_scores": scores,
        "hidden": torch.zeros(n_steps, 4),
        "meta": {"model": {"name": "mini"}},
    }
    return Trace(**(known | fields))


def random_scores(seed: int, steps: int = 12, layers: int = 4, heads: int = 8, rate: float = 0.2) -> np.ndarray:
    """Binary scores of a given rate."""
    return (np.random.default_rng(seed).random((steps, layers, heads)) < rate).astype(np.float32)


def subtitle(figure: Any) -> str:
    """A figure's second line, however it was broken to fit."""
    return figure.layout.title.subtitle.text.replace("<br>", " ")
