"""Simulated worlds on permuted needles: what contrasts and shares of variance say where the truth is known.

The rules and the noise are those of `mechdyn.studies.worlds`. Each needle has pieces of one token each, drawn from the tokens of the
shape, in every order of a Latin square, each order in the same haystacks, which are the needle's own; an answer is the pieces alone.
"""

import numpy as np
import torch
from jaxtyping import Bool

from mechdyn.studies.world_rules import Both, Flicker, Keyed, Nested, Scene, Shape, Sizes
from mechdyn.studies.worlds import Noise, SimulatedWorld, Truth
from mechdyn.tasks.permuted import Permuted, williams_orders
from mechdyn.traces.trace import Trace

_HALF = Sizes(6.5, 3.8)
FOLLOWED_WORLDS = {
    world.name: world
    for world in (
        SimulatedWorld("by token", Truth.FOLLOWS, Keyed("token")),
        SimulatedWorld("by token, reliability 0.7", Truth.FOLLOWS, Keyed("token"), Noise(0.7)),
        SimulatedWorld("by step", Truth.FOLLOWS, Keyed("step")),
        SimulatedWorld("half by token, half by step", Truth.FOLLOWS, Both(Keyed("token", _HALF), Keyed("step", _HALF))),
        SimulatedWorld("half by token, half fixed", Truth.FOLLOWS, Both(Keyed("token", _HALF), Keyed("always", Sizes(6.5, 0.0)))),
        SimulatedWorld("by needle", Truth.SAMPLE, Keyed("needle")),
        SimulatedWorld("by haystack", Truth.SAMPLE, Keyed("haystack")),
        SimulatedWorld("a fixed list", Truth.FIXED, Keyed("always")),
        SimulatedWorld("ranking, number by token", Truth.FIXED, Nested("token")),
        SimulatedWorld("flicker of a fixed pool", Truth.FIXED, Flicker()),
        SimulatedWorld("anew at each step", Truth.NOTHING, Keyed("moment")),
    )
}
"""The worlds of docs/follows.md, by name."""


def simulate_permuted(
    world: SimulatedWorld, n_needles: int, *, pieces: int = 6, haystacks: int = 2, seed: int = 0, shape: Shape | None = None
) -> list[Trace]:
    """Right answers to permuted needles whose head sets follow the world's rule under its noise.

    Args:
        world: the rule and the noise.
        n_needles: needles; there are `pieces` × `haystacks` answers for each.
        pieces: of a needle, even, at most as many as the shape has tokens.
        haystacks: of each needle.
        seed: of everything that is drawn.
        shape: of the simulated model; 12 × 12 heads and 10 tokens where left out.
    """
    rng, shape = np.random.default_rng([seed, n_needles]), shape or Shape(n_steps=pieces, n_tokens=10)
    squares = np.array(williams_orders(pieces))
    drawn = np.stack([rng.permutation(shape.n_tokens)[:pieces] for _ in range(n_needles)])
    needle, order, haystack = (each.ravel() for each in np.indices((n_needles, pieces, haystacks)))
    places = squares[order]
    scene = Scene(rng, shape, np.take_along_axis(drawn[needle], places, axis=1), needle, haystacks * needle + haystack)
    sets = world.rule(scene)
    chance = world.noise.strangers * sets.sum(axis=2, keepdims=True) / np.maximum(shape.total - sets.sum(axis=2, keepdims=True), 1)
    seen = rng.random(sets.shape) < np.where(sets, world.noise.reliability, chance)
    return [_trace(scene, index, int(order[index]), places[index].tolist(), seen[index]) for index in range(len(needle))]


def _trace(scene: Scene, index: int, order: int, places: list[int], seen: Bool[np.ndarray, "step head"]) -> Trace:
    tokens = torch.from_numpy(scene.tokens[index].astype(np.int64))
    needle, haystack = int(scene.needles[index]), int(scene.haystacks[index])
    text = "-".join(map(str, tokens.tolist()))
    where = [[places.index(piece), places.index(piece) + 1] for piece in range(len(places))]
    name = f"{needle}-{order}-{haystack}"
    return Trace(
        unit=name,
        sample=name,
        task=Permuted.name,
        question="?",
        answer=text,
        prompt_tokens=tokens,
        needle_positions=torch.arange(len(tokens)),
        tokens=tokens,
        token_texts=tuple(map(str, tokens.tolist())),
        text=text,
        retrieval_scores=torch.from_numpy(seen.astype(np.float32)).unflatten(1, (scene.shape.n_layers, scene.shape.n_heads)),
        hidden=torch.zeros(len(tokens), 1),
        meta={"seed": haystack, "needle_seed": needle, "order": order, "places": places, "piece_tokens": where, "depth": 0.5},
    )
