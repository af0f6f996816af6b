"""What smaller caches do to the tokens of an answer: the record of a measurement, and how caches are named."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from jaxtyping import Bool, Float

from mechdyn.errors import InputError
from mechdyn.tensors import Tensor, torch
from mechdyn.traces.json_numbers import as_numbers, from_numbers

if TYPE_CHECKING:
    from pandas import DataFrame

UNIFORM, RANDOM, STATIC, SAMPLE = "uniform", "random", "static", "sample"
ORACLE, PERSISTENCE, ECHO, FORECAST = "oracle", "persistence", "echo", "forecast"
SOURCES = (UNIFORM, RANDOM, STATIC, SAMPLE, ORACLE, PERSISTENCE, ECHO, FORECAST)
"""What deals a budget out (docs/definitions.md, "Key-value budgets"); those from the oracle on follow the step."""
QUERY, KV = "query", "kv"
"""Whose budget it is: a query head's, or a key-value head's."""
_DIGITS = 6


@dataclass(frozen=True)
class CacheShare:
    """One kind of cache: so much of the prompt a head, dealt out by so much.

    Attributes:
        source: what deals the budget out, one of `SOURCES`.
        fraction: positions of the prompt that a head sees on average, as a share of the prompt, above 0.
        reversible: whether a key that was dropped can come back.
        per: `query` where each query head has a budget, `kv` where the heads of a group have one together.
    """

    source: str
    fraction: float
    reversible: bool = True
    per: str = QUERY

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise InputError(f"a budget is dealt out by one of {', '.join(SOURCES)}, got {self.source!r}")
        if not 0 < self.fraction <= 1 or math.isnan(self.fraction):
            raise InputError(f"a cache is a share of the prompt above 0 and at most 1, got {self.fraction}; 0.05 keeps 5 %")
        if self.per not in (QUERY, KV):
            raise InputError(f"a budget is one of each query head ({QUERY}) or key-value head ({KV}), got {self.per!r}")

    @property
    def at(self) -> dict[str, Any]:
        """Where evidence says that it was measured; what is usual is left out."""
        unusual = {**({} if self.reversible else {"keys": "never back"}), **({} if self.per == QUERY else {"per": "key-value head"})}
        return {"budget": self.source, "cache": self.fraction, **unusual}


@dataclass(frozen=True, eq=False)
class BudgetEffects:
    """Log probabilities (nats) along one answer with the whole cache, and with each smaller one.

    Step 0 comes from the prompt's own forward, which sees everything: there all are alike.

    Attributes:
        caches: what was tried.
        n_prompt: tokens of the prompt.
        position_bytes: what one position of the prompt takes in all layers: keys and values of every key-value head.
        clean: log p of each token with the whole cache.
        log_p: the same with each smaller one.
        kept: whether the answer's token is the most likely one still.
        seen: positions of the prompt that a query head sees, mean over heads and steps from 1 on.
        held: positions that a key-value head must have for that: the union over its query heads, the same mean.
        back: positions a step and key-value head that come back, which no head of the group saw at the step before.
    """

    caches: tuple[CacheShare, ...]
    n_prompt: int
    position_bytes: int
    clean: Float[Tensor, " step"]
    log_p: Float[Tensor, "cache step"]
    kept: Bool[Tensor, "cache step"]
    seen: Float[Tensor, " cache"] = field(default_factory=lambda: torch.zeros(0))
    held: Float[Tensor, " cache"] = field(default_factory=lambda: torch.zeros(0))
    back: Float[Tensor, " cache"] = field(default_factory=lambda: torch.zeros(0))

    @property
    def loss(self) -> Float[Tensor, " cache"]:
        """Mean over the steps from 1 on of log p(token | whole cache) − log p(token | cache), in nats; NaN for an answer of one token."""
        return (self.clean - self.log_p)[:, 1:].mean(dim=1)

    @property
    def same(self) -> Bool[Tensor, " cache"]:
        """Whether every token is the most likely one still, so that the greedy answer with this cache is the same."""
        return self.kept.all(dim=1)

    @property
    def bytes_held(self) -> Float[Tensor, " cache"]:
        """Bytes of the prompt's keys and values that a step reads with each cache."""
        return self.held * self.position_bytes

    @property
    def bytes_whole(self) -> int:
        """Bytes of all of them."""
        return self.n_prompt * self.position_bytes

    def place(self, cache: CacheShare) -> int | None:
        """Where a cache stands among `caches`; None where it was not tried."""
        return self.caches.index(cache) if cache in self.caches else None

    def to_frame(self) -> "DataFrame":
        """A pandas `DataFrame` with a row a cache and step: the cache's four fields, `step`, `log_p_clean`, `log_p`, `kept`."""
        from pandas import DataFrame

        rows = [
            {**asdict(cache), "step": step, "log_p_clean": float(self.clean[step]), "log_p": float(value), "kept": bool(kept)}
            for cache, values, each in zip(self.caches, self.log_p, self.kept, strict=True)
            for step, (value, kept) in enumerate(zip(values, each, strict=True))
        ]
        return DataFrame(rows, columns=["source", "fraction", "reversible", "per", "step", "log_p_clean", "log_p", "kept"])

    def as_json(self) -> dict[str, Any]:
        """What a store keeps beside the trace; `lost` are the steps at which another token is the most likely one."""
        return {
            "caches": [list(asdict(cache).values()) for cache in self.caches],
            "n_prompt": self.n_prompt,
            "position_bytes": self.position_bytes,
            "clean": as_numbers(self.clean, _DIGITS),
            "log_p": [as_numbers(row, _DIGITS) for row in self.log_p],
            "lost": [(~row).nonzero().flatten().tolist() for row in self.kept],
            **{name: as_numbers(getattr(self, name), _DIGITS) for name in ("seen", "held", "back")},
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "BudgetEffects":
        """What `as_json` wrote."""
        caches = tuple(CacheShare(*fields) for fields in content["caches"])
        clean = from_numbers(content["clean"])
        kept = torch.ones(len(caches), len(clean), dtype=torch.bool)
        for row, lost in zip(kept, content["lost"], strict=True):
            row[lost] = False
        log_p = torch.stack([from_numbers(row) for row in content["log_p"]]) if caches else clean.new_zeros(0, len(clean))
        means = {name: from_numbers(content[name]) for name in ("seen", "held", "back")}
        return cls(caches, content["n_prompt"], content["position_bytes"], clean, log_p, kept, **means)
