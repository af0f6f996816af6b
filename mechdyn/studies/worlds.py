"""Simulated worlds whose truth is known: traces of retrieving heads that follow a rule, to be judged as a model's are.

A world says which heads *should* retrieve at a step (`mechdyn.studies.world_rules`) and how far what is seen departs from that. `simulate`
makes the roles that claims judge: `detection`, `evaluation`, and `retest` with the needles of `evaluation` in other haystacks, so a claim's
own `judge` runs on them as they are. No model is involved. Shape, number of samples and seed are parameters, and a world of one's own is a
`SimulatedWorld` like those of `WORLDS`.
"""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from jaxtyping import Bool, Float, Int

from mechdyn.errors import InputError
from mechdyn.paper.values import TABLE_1
from mechdyn.plans import Request
from mechdyn.studies.world_rules import Both, Drifting, Flicker, Graded, Keyed, Nested, OneOf, Rule, Scene, Sets, Shape, Sizes
from mechdyn.tasks.niah import Niah
from mechdyn.tensors import Tensor, torch
from mechdyn.traces.trace import Trace


class Truth(StrEnum):
    """What holds in a world, of the claim that heads are dynamic."""

    FIXED = "a fixed list or ranking; what changes is its length, or chance"
    FOLLOWS = "at least half of the heads follow what is generated, in every haystack"
    SAMPLE = "heads differ from answer to answer, and stay the same within one"
    NOTHING = "heads are drawn anew at each step: nothing repeats"


@dataclass(frozen=True)
class Noise:
    """How far what is seen departs from the sets of a world's rule.

    `reliability` is the probability that a head of the set is seen, at each step of each haystack anew; `strangers` the mean number of
    other heads that are seen, as a share of the set's size.
    """

    reliability: float = 0.95
    strangers: float = 0.05


@dataclass(frozen=True)
class SimulatedWorld:
    """A simulated world.

    Attributes:
        name: what tables call it.
        truth: what holds in it.
        rule: which heads should retrieve at each step of each trace.
        noise: what becomes of that in right answers.
        noise_when_wrong: the same in wrong ones; as in right ones where left out.
        accuracy: the probability that an answer is right.
        per_needle: how many samples of a role share a needle; each has a haystack of its own.
        shape: of the simulated model, where none is asked for.
    """

    name: str
    truth: Truth
    rule: Rule
    noise: Noise = field(default_factory=Noise)
    noise_when_wrong: Noise | None = None
    accuracy: float = 1.0
    per_needle: int = 1
    shape: Shape = field(default_factory=Shape)


def simulate(world: SimulatedWorld, n: int, *, seed: int = 0, shape: Shape | None = None) -> dict[str, list[Trace]]:
    """Traces of a world by role, `n` of each role.

    An answer that is wrong parts from the needle's tokens at a step drawn at random. The hidden state of a step is the sum of a vector for
    its token, one for its number, and noise, of equal variance.

    Args:
        world: the world.
        n: samples of each role.
        seed: of everything that is drawn, the heads that the rule gives among it.
        shape: of the simulated model, the world's own where left out.

    Raises:
        InputError: fewer than one sample.
    """
    if n < 1:
        raise InputError(f"a simulated world needs at least 1 sample of each role, got {n}")
    rng, shape = np.random.default_rng([seed, n]), shape or world.shape
    needle = np.arange(n) // world.per_needle
    needles = np.concatenate([n + needle, needle, needle])
    answers = rng.integers(0, shape.n_tokens, (2 * n, shape.n_steps))
    scene = Scene(rng, shape, answers[needles], needles, np.arange(3 * n))
    right = rng.random(3 * n) < world.accuracy
    traces = _traces(scene, _seen(world, scene, right), right)
    return {"detection": traces[:n], "evaluation": traces[n : 2 * n], "retest": traces[2 * n :]}


def request_for(world: SimulatedWorld, shape: Shape | None = None) -> Request:
    """What a claim's `judge` is told beside the traces: a model of this shape, named for the world, on needles."""
    shape = shape or world.shape
    return Request({"name": world.name, "n_layers": shape.n_layers, "n_heads": shape.n_heads}, Niah())


def _seen(world: SimulatedWorld, scene: Scene, right: Bool[np.ndarray, " trace"]) -> Sets:
    """The sets of the rule under the noise of right and wrong answers."""
    sets = world.rule(scene)
    wrong = world.noise_when_wrong or world.noise
    reliability = np.where(right, world.noise.reliability, wrong.reliability)[:, None, None]
    strangers = np.where(right, world.noise.strangers, wrong.strangers)[:, None]
    sizes = sets.sum(axis=2)
    chance = strangers * sizes / np.maximum(scene.shape.total - sizes, 1)
    return scene.rng.random(sets.shape, dtype=np.float32) < np.where(sets, reliability, chance[:, :, None])


def _traces(scene: Scene, seen: Sets, right: Bool[np.ndarray, " trace"]) -> list[Trace]:
    shape, rng = scene.shape, scene.rng
    parts_at = np.where(right, shape.n_steps, rng.integers(0, shape.n_steps, len(right)))
    others = (scene.tokens + rng.integers(1, max(2, shape.n_tokens), scene.tokens.shape)) % shape.n_tokens
    tokens = torch.from_numpy(np.where(scene.steps < parts_at[:, None], scene.tokens, others))
    scores = torch.from_numpy(seen.astype(np.float32)).unflatten(2, (shape.n_layers, shape.n_heads))
    hidden = _hidden_states(scene)
    return [_trace(scene, index, tokens[index], scores[index], hidden[index], bool(right[index])) for index in range(len(right))]


def _trace(
    scene: Scene,
    index: int,
    tokens: Int[Tensor, " step"],
    scores: Float[Tensor, "step layer head"],
    hidden: Float[Tensor, "step d_model"],
    right: bool,
) -> Trace:
    needle, haystack = int(scene.needles[index]), int(scene.haystacks[index])
    answer = f"needle {needle}"
    return Trace(
        unit=f"{needle}-{haystack}",
        sample=f"{needle}-{haystack}",
        task="niah",
        question="?",
        answer=answer,
        prompt_tokens=torch.tensor([haystack, needle]),
        needle_positions=torch.tensor([1]),
        tokens=tokens,
        token_texts=tuple(map(str, tokens.tolist())),
        text=f"{answer}." if right else "another answer",
        retrieval_scores=scores,
        hidden=hidden,
        meta={"length": 2, "depth": 0.5, "haystack": "simulated", "seed": haystack, "needle_seed": needle},
    )


def _hidden_states(scene: Scene) -> Float[Tensor, "trace step d_model"]:
    shape, rng = scene.shape, scene.rng
    of_token = rng.standard_normal((shape.n_tokens, shape.d_model), dtype=np.float32)
    of_step = rng.standard_normal((shape.n_steps, shape.d_model), dtype=np.float32)
    noise = rng.standard_normal((*scene.tokens.shape, shape.d_model), dtype=np.float32)
    return torch.from_numpy(of_token[scene.tokens] + of_step[scene.steps] + noise)


_STATIC = Keyed("always", Sizes(12.97, 0.0))
_HALF = Sizes(6.5, 3.8)
_PHI4 = Sizes(*TABLE_1["phi4-mini"].heads_per_step)
_CLEAR, _NOISY = Noise(0.98, 0.02), Noise(0.3, 0.7)
_SMALL = Shape(n_layers=2, n_heads=8)


def _fixed_worlds() -> list[SimulatedWorld]:
    fixed = Truth.FIXED
    static = [SimulatedWorld(f"static, reliability {share:g}", fixed, _STATIC, Noise(share)) for share in (0.6, 0.8, 0.9, 0.98)]
    nested = [
        SimulatedWorld(f"ranking, number by token, {name}", fixed, Nested("token", Sizes(*row.heads_per_step)))
        for name, row in TABLE_1.items()
    ]
    return [
        *static,
        SimulatedWorld("static, each head at its own rate", fixed, Graded(), Noise(1.0)),
        SimulatedWorld("static, wrong answers noisier", fixed, _STATIC, _CLEAR, _NOISY, accuracy=0.55),
        SimulatedWorld("static, right answers noisier", fixed, _STATIC, Noise(0.8), _CLEAR, accuracy=0.6),
        SimulatedWorld("static, 8 of 16 heads", fixed, Keyed("always", Sizes(8.0, 0.0)), Noise(0.9, 0.1), shape=_SMALL),
        *nested,
        SimulatedWorld("ranking, number by chance, phi4-mini", fixed, Nested("moment", _PHI4)),
        SimulatedWorld("flicker of a fixed pool", fixed, Flicker()),
        SimulatedWorld("flicker of whole layers", fixed, Flicker(pool=24, by_layer=True)),
        SimulatedWorld("ranking, number by step", fixed, Nested("step")),
    ]


def _other_worlds() -> list[SimulatedWorld]:
    follows, sample = Truth.FOLLOWS, Truth.SAMPLE
    return [
        SimulatedWorld("by token", follows, Keyed("token")),
        SimulatedWorld("by token, reliability 0.7", follows, Keyed("token"), Noise(0.7)),
        SimulatedWorld("by token, wrong answers noisier", follows, Keyed("token"), _CLEAR, _NOISY, accuracy=0.6),
        SimulatedWorld("by token, 16 of a pool of 20", follows, Keyed("token", Sizes(16.0, 2.0), pool=20), Noise(0.7)),
        SimulatedWorld("by token, 8 of 16 heads", follows, Keyed("token", Sizes(8.0, 2.0)), Noise(0.9, 0.1), shape=_SMALL),
        SimulatedWorld("by token, 12 of 16 heads", follows, Keyed("token", Sizes(12.0, 2.0)), Noise(0.8, 0.2), shape=_SMALL),
        SimulatedWorld("by step", follows, Keyed("step")),
        SimulatedWorld("by place in the needle", follows, Keyed("place")),
        SimulatedWorld("drifts, one head a step", follows, Drifting()),
        SimulatedWorld("two lists, by step", follows, OneOf("step")),
        SimulatedWorld("half by token, half fixed", follows, Both(Keyed("token", _HALF), Keyed("always", Sizes(6.5, 0.0)))),
        SimulatedWorld("half by token, half by haystack", follows, Both(Keyed("token", _HALF), Keyed("haystack", _HALF))),
        SimulatedWorld("by needle", sample, Keyed("needle")),
        SimulatedWorld("by haystack", sample, Keyed("haystack")),
        SimulatedWorld("two lists, by needle", sample, OneOf("needle")),
        SimulatedWorld("two lists, by haystack", sample, OneOf("haystack")),
        SimulatedWorld("ranking of each needle, number by token", sample, Nested("token", _PHI4, ranking="needle")),
        SimulatedWorld("the same, 4 samples a needle", sample, Nested("token", _PHI4, ranking="needle"), per_needle=4),
        SimulatedWorld("anew at each step", Truth.NOTHING, Keyed("moment")),
    ]


WORLDS = {world.name: world for world in (*_fixed_worlds(), *_other_worlds())}
"""The worlds of docs/verdicts/error-rates.md, by name."""
