"""Simulated hidden states and retrieving heads whose relation is known, to be judged by correlation and anticipation as a model's are.

Every world draws traces of some steps: which heads retrieve, the token of each step, and a hidden state that is told something of these in
noise. What it is told is the truth that a verdict has to find (`experiments/error_rates.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from mechdyn.errors import InputError
from mechdyn.traces.trace import Trace

N_STEPS, N_HEADS, D_MODEL, N_TOKENS = 8, 20, 24, 12
_RATE = 0.25


@dataclass(frozen=True)
class Drawn:
    """All traces of a world: heads, what the hidden state is told of, and tokens, each step by step."""

    heads: Bool[np.ndarray, "trace step head"]
    told: Float[np.ndarray, "trace step told"]
    tokens: Int[np.ndarray, "trace step"]


@dataclass(frozen=True)
class HiddenWorld:
    """A simulated world.

    Attributes:
        name: what tables call it.
        correlated: whether the hidden state tells the heads of its own and of the next two steps, beyond the step's number; None where it
            tells its own alone, so that neither verdict is right.
        anticipated: whether it tells later heads beyond what the present heads and token do.
        draw: `n` traces.
    """

    name: str
    correlated: bool | None
    anticipated: bool
    draw: Callable[[np.random.Generator, int], Drawn]


def simulate_hidden(world: HiddenWorld, n: int, *, seed: int = 0) -> list[Trace]:
    """`n` traces of a world. A hidden state is a random linear map of what it is told, with noise of half its spread.

    Raises:
        InputError: fewer than one trace.
    """
    if n < 1:
        raise InputError(f"a simulated world needs at least 1 trace, got {n}")
    rng = np.random.default_rng([seed, n])
    drawn = world.draw(rng, n)
    mapped = drawn.told @ rng.standard_normal((drawn.told.shape[2], D_MODEL)) / np.sqrt(drawn.told.shape[2])
    hidden = mapped + 0.5 * max(float(mapped.std()), 0.1) * rng.standard_normal(mapped.shape)
    return [_trace(index, drawn.heads[index], hidden[index], drawn.tokens[index]) for index in range(n)]


def _trace(
    index: int, heads: Bool[np.ndarray, "step head"], hidden: Float[np.ndarray, "step d_model"], tokens: Int[np.ndarray, " step"]
) -> Trace:
    return Trace(
        unit=f"unit {index}",
        sample=f"sample {index}",
        task="niah",
        question="?",
        answer="value",
        prompt_tokens=torch.tensor([0, index]),
        needle_positions=torch.tensor([1]),
        tokens=torch.from_numpy(tokens),
        token_texts=tuple(map(str, tokens.tolist())),
        text="value",
        retrieval_scores=torch.from_numpy(heads.astype(np.float32)).unflatten(1, (4, N_HEADS // 4)),
        hidden=torch.from_numpy(hidden.astype(np.float32)),
        meta={"model": {"name": "simulated"}},
    )


def _rates(rng: np.random.Generator, *shape: int) -> Float[np.ndarray, "..."]:
    """How often heads retrieve: some often, most rarely."""
    return rng.beta(0.8, 0.8 * (1 - _RATE) / _RATE, shape)


def _tokens(rng: np.random.Generator, n: int, n_steps: int = N_STEPS) -> Int[np.ndarray, "trace step"]:
    return rng.integers(0, N_TOKENS, (n, n_steps))


def _nothing(rng: np.random.Generator, n: int) -> Drawn:
    heads = rng.random((n, N_STEPS, N_HEADS)) < _rates(rng, N_HEADS)
    return Drawn(heads, rng.standard_normal((n, N_STEPS, 8)), _tokens(rng, n))


def _by_step(rng: np.random.Generator, n: int) -> Drawn:
    heads = rng.random((n, N_STEPS, N_HEADS)) < _rates(rng, N_STEPS, N_HEADS)
    return Drawn(heads, np.broadcast_to(np.eye(N_STEPS), (n, N_STEPS, N_STEPS)), _tokens(rng, n))


def _flicker(rng: np.random.Generator, n: int) -> Drawn:
    heads = rng.random((n, N_STEPS, N_HEADS)) < _rates(rng, N_HEADS)
    return Drawn(heads, heads.astype(np.float64), _tokens(rng, n))


def _lasting(rng: np.random.Generator, n: int) -> Drawn:
    """A head stays as it is four times in five."""
    fresh = rng.random((n, N_STEPS, N_HEADS)) < _rates(rng, N_HEADS)
    heads = fresh.copy()
    for step in range(1, N_STEPS):
        stays = rng.random((n, N_HEADS)) < 0.8
        heads[:, step] = np.where(stays, heads[:, step - 1], fresh[:, step])
    return Drawn(heads, heads.astype(np.float64), _tokens(rng, n))


def _of_token(rng: np.random.Generator, tokens: Int[np.ndarray, "trace step"]) -> Bool[np.ndarray, "trace step head"]:
    """Heads by token, seen with a reliability of 0.9."""
    wanted = rng.random((N_TOKENS, N_HEADS)) < _RATE
    return wanted[tokens] & (rng.random((*tokens.shape, N_HEADS)) < 0.9)


def _chain(rng: np.random.Generator, n: int) -> Drawn:
    """Heads go by the token, the state knows its token, and each token has one successor, three times in four."""
    successor, tokens = rng.permutation(N_TOKENS), _tokens(rng, n)
    for step in range(1, N_STEPS):
        follows = rng.random(n) < 0.75
        tokens[:, step] = np.where(follows, successor[tokens[:, step - 1]], tokens[:, step])
    return Drawn(_of_token(rng, tokens), np.eye(N_TOKENS)[tokens], tokens)


def _plan(rng: np.random.Generator, n: int) -> Drawn:
    """Heads go by the token, tokens follow none before, and the state knows its own and the next two."""
    tokens = _tokens(rng, n, N_STEPS + 2)
    told = np.concatenate([np.eye(N_TOKENS)[tokens[:, ahead : ahead + N_STEPS]] for ahead in range(3)], axis=2)
    return Drawn(_of_token(rng, tokens[:, :N_STEPS]), told, tokens[:, :N_STEPS])


WORLDS: dict[str, HiddenWorld] = {
    world.name: world
    for world in (
        HiddenWorld("the state knows nothing", False, False, _nothing),
        HiddenWorld("state and heads follow the step's number", False, False, _by_step),
        HiddenWorld("heads flicker, the state knows its own step", None, False, _flicker),
        HiddenWorld("heads last, the state knows its own step", True, False, _lasting),
        HiddenWorld("heads by token, each token has a successor", True, False, _chain),
        HiddenWorld("the state knows the next two tokens", True, True, _plan),
    )
}
