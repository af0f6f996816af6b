"""The rules of simulated worlds: which heads should retrieve at each step of each trace."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Int

from mechdyn.errors import InputError

Sets: TypeAlias = Bool[np.ndarray, "trace step head"]
Keys: TypeAlias = Int[np.ndarray, "trace step"]


@dataclass(frozen=True)
class Shape:
    """The model that is simulated, and its answers: `n_tokens` is how many different tokens they are made of."""

    n_layers: int = 12
    n_heads: int = 12
    n_steps: int = 20
    n_tokens: int = 48
    d_model: int = 12

    @property
    def total(self) -> int:
        return self.n_layers * self.n_heads


@dataclass(frozen=True)
class Scene:
    """What a rule may go by: every trace of all roles, and its needle and haystack by number."""

    rng: np.random.Generator
    shape: Shape
    tokens: Keys
    needles: Int[np.ndarray, " trace"]
    haystacks: Int[np.ndarray, " trace"]

    @property
    def steps(self) -> Keys:
        """The number of each step."""
        return np.broadcast_to(np.arange(self.shape.n_steps), self.tokens.shape)

    def keys(self, by: str) -> Keys:
        """A number for each step, the same where a rule by `by` gives the same heads.

        `always`, `token`, `step`, `needle`, `haystack`, `place` (a step of one needle, in every haystack) or `moment` (each step alone).

        Raises:
            InputError: anything else.
        """
        n_traces, n_steps = self.tokens.shape
        moments = np.arange(n_traces * n_steps).reshape(n_traces, n_steps)
        keys = {
            "always": np.zeros_like(moments),
            "token": self.tokens,
            "step": self.steps,
            "needle": np.broadcast_to(self.needles[:, None], moments.shape),
            "haystack": np.broadcast_to(self.haystacks[:, None], moments.shape),
            "place": self.needles[:, None] * n_steps + self.steps,
            "moment": moments,
        }
        if by not in keys:
            raise InputError(f"heads go by one of {', '.join(keys)}, got {by!r}")
        return keys[by]


Rule: TypeAlias = Callable[[Scene], Sets]


@dataclass(frozen=True)
class Sizes:
    """How many heads a set has: a gamma distribution of this mean and standard deviation, rounded, at least 1 and at most all heads.

    The default is what the paper reports for llama3.1-8b.
    """

    mean: float = 12.97
    sd: float = 7.69

    def draw(self, rng: np.random.Generator, n: int, total: int) -> Int[np.ndarray, " n"]:
        """`n` sizes for a model of `total` heads."""
        if self.sd == 0:
            sizes = np.full(n, self.mean)
        else:
            shape = (self.mean / self.sd) ** 2
            sizes = rng.gamma(shape, self.mean / shape, n)
        return np.clip(np.rint(sizes), 1, total).astype(np.int64)


@dataclass(frozen=True)
class Keyed:
    """Heads drawn at random for each key, as many as `sizes` gives it, from all heads or from a fixed `pool` of so many."""

    by: str
    sizes: Sizes = field(default_factory=Sizes)
    pool: int | None = None

    def __call__(self, scene: Scene) -> Sets:
        total = scene.shape.total
        pool = scene.rng.permutation(total)[: self.pool]
        at, counts = _sizes_by_key(scene, self.by, self.sizes, len(pool))
        sets = np.zeros((len(counts), total), dtype=bool)
        sets[:, pool] = _places(scene.rng, len(counts), len(pool)) < counts[:, None]
        return sets[at]


@dataclass(frozen=True)
class Nested:
    """The first heads of a ranking, as many as `sizes` gives the key `by`: the sets change by their size alone.

    `ranking` is the key that has a ranking of its own: one for all by `always`, one for each needle by `needle`.
    """

    by: str
    sizes: Sizes = field(default_factory=Sizes)
    ranking: str = "always"

    def __call__(self, scene: Scene) -> Sets:
        at, counts = _sizes_by_key(scene, self.by, self.sizes, scene.shape.total)
        owners, owner = np.unique(scene.keys(self.ranking), return_inverse=True)
        places = _places(scene.rng, len(owners), scene.shape.total)
        return places[owner.reshape(at.shape)] < counts[at][:, :, None]


@dataclass(frozen=True)
class Graded:
    """A fixed list whose heads are on with probabilities of their own, spread evenly from `least` to 1, at each step anew."""

    pool: int = 24
    least: float = 0.1

    def __call__(self, scene: Scene) -> Sets:
        rates = np.zeros(scene.shape.total)
        rates[scene.rng.permutation(scene.shape.total)[: self.pool]] = np.linspace(self.least, 1.0, min(self.pool, scene.shape.total))
        return scene.rng.random((*scene.tokens.shape, scene.shape.total), dtype=np.float32) < rates


@dataclass(frozen=True)
class Flicker:
    """Each head of a fixed pool goes on and off by itself, in each haystack anew.

    It is on `share` of the time; `persistence` is the correlation of a step with the one before. With `by_layer` the pool is of as few
    layers as it fits in, and the heads of a layer go on and off together.
    """

    pool: int = 16
    share: float = 0.6
    persistence: float = 0.7
    by_layer: bool = False

    def __call__(self, scene: Scene) -> Sets:
        n_traces, n_steps = scene.tokens.shape
        on = np.zeros((n_traces, n_steps, scene.shape.total), dtype=bool)
        heads, owner = self._pool(scene)
        state = scene.rng.random((n_traces, int(owner.max()) + 1)) < self.share
        for step in range(n_steps):
            anew = scene.rng.random(state.shape) < 1 - self.persistence
            state = np.where(anew, scene.rng.random(state.shape) < self.share, state)
            on[:, step, heads] = state[:, owner]
        return on

    def _pool(self, scene: Scene) -> tuple[Int[np.ndarray, " head"], Int[np.ndarray, " head"]]:
        """The heads of the pool, and by number what each goes on and off with."""
        if not self.by_layer:
            heads = scene.rng.permutation(scene.shape.total)[: self.pool]
            return heads, np.arange(len(heads))
        layers = scene.rng.permutation(scene.shape.n_layers)
        heads = (layers[:, None] * scene.shape.n_heads + np.arange(scene.shape.n_heads)).ravel()[: self.pool]
        return heads, np.arange(len(heads)) // scene.shape.n_heads


@dataclass(frozen=True)
class Drifting:
    """A window over one order of all heads that moves on with the number of the step: `exchanged` heads a step are others."""

    size: int = 13
    exchanged: float = 1.0

    def __call__(self, scene: Scene) -> Sets:
        place = scene.rng.permutation(scene.shape.total)
        start = np.floor(scene.steps * self.exchanged).astype(np.int64)
        return (place - start[:, :, None]) % scene.shape.total < self.size


@dataclass(frozen=True)
class OneOf:
    """One of a few fixed lists of `size` heads, drawn for each key of `by`."""

    by: str
    n_lists: int = 2
    size: int = 13

    def __call__(self, scene: Scene) -> Sets:
        lists = _places(scene.rng, self.n_lists, scene.shape.total) < self.size
        names, at = np.unique(scene.keys(self.by), return_inverse=True)
        chosen = scene.rng.integers(0, self.n_lists, len(names))
        return lists[chosen[at.reshape(scene.tokens.shape)]]


@dataclass(frozen=True)
class Both:
    """The heads of one rule and those of another."""

    one: Rule
    other: Rule

    def __call__(self, scene: Scene) -> Sets:
        return self.one(scene) | self.other(scene)


def _sizes_by_key(scene: Scene, by: str, sizes: Sizes, at_most: int) -> tuple[Keys, Int[np.ndarray, " key"]]:
    """For each step the number of its key among those that occur, and a size for each of them."""
    keys = scene.keys(by)
    names, at = np.unique(keys, return_inverse=True)
    return at.reshape(keys.shape), sizes.draw(scene.rng, len(names), at_most)


def _places(rng: np.random.Generator, n: int, total: int) -> Int[np.ndarray, "{n} {total}"]:
    """Random orders of heads: the place of each."""
    return rng.random((n, total), dtype=np.float32).argsort(axis=1).argsort(axis=1)
