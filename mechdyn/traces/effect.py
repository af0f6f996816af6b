"""What switching heads off at one step does to the log probability of the tokens that follow: the record of a measurement."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jaxtyping import Bool, Float, Int

from mechdyn.errors import InputError
from mechdyn.heads import HeadSet
from mechdyn.tensors import Tensor, torch
from mechdyn.traces.json_numbers import as_numbers, from_numbers

if TYPE_CHECKING:
    from pandas import DataFrame

_DIGITS = 7
"""Decimals of a log probability in JSON: beyond what float32 resolves."""


@dataclass(frozen=True, eq=False)
class Effect:
    """Log probabilities (nats) along one answer, with all heads on and with each set of heads off at one step.

    Attributes:
        sets: the names of the sets of heads.
        tokens: the answer along which was measured; step t gives `tokens[t]`.
        token_texts: a text for each.
        clean: log p(tokens[t]) with every head on.
        off: log p(tokens[t + lag]) where the set's heads were off at step t and at no other, lag 0, 1, …; later steps read the keys and
            values that step t left without these heads. NaN where the answer has no step t + lag. Where the set has no head at a step, it
            is the clean one.
        heads: the heads of each set at each step.
    """

    sets: tuple[str, ...]
    tokens: Int[Tensor, " step"]
    token_texts: tuple[str, ...]
    clean: Float[Tensor, " step"]
    off: Float[Tensor, "set step lag"]
    heads: Bool[Tensor, "set step layer head"]

    @property
    def n_steps(self) -> int:
        return len(self.tokens)

    @property
    def n_off(self) -> Int[Tensor, "set step"]:
        """How many heads each set has at each step."""
        return self.heads.flatten(2).sum(dim=2)

    @property
    def delta(self) -> Float[Tensor, "set step lag"]:
        """Δ log p = log p(token t + lag | every head on) − log p(the same | the set off at step t), in nats.

        Above 0 where the heads made the token likelier.
        """
        return later(self.clean, self.off.shape[2] - 1) - self.off

    def of(self, name: str) -> Float[Tensor, "step lag"]:
        """Δ log p of one set.

        Raises:
            InputError: no set has this name.
        """
        return later(self.clean, self.off.shape[2] - 1) - self.off[self.place(name)]

    def place(self, name: str) -> int:
        """Where a set stands among `sets`.

        Raises:
            InputError: no set has this name.
        """
        if name not in self.sets:
            raise InputError(f"no set of heads is called {name!r}; there are {', '.join(self.sets)}")
        return self.sets.index(name)

    def by_step(self) -> dict[str, Float[Tensor, " step"]]:
        """Δ log p of each step's own token by set (lag 0), in nats; NaN where the set has no head off at the step.

        Draws of one set (`others #0`, `others #1`, …) are one entry, the mean of those that have a head off.
        """
        delta = self.delta[..., 0].masked_fill(self.n_off == 0, math.nan)
        places: dict[str, list[int]] = {}
        for place, name in enumerate(self.sets):
            places.setdefault(name.partition(" #")[0], []).append(place)
        return {name: delta[each].nanmean(dim=0) for name, each in places.items()}

    def to_frame(self) -> "DataFrame":
        """A pandas `DataFrame` with a row for each set, step and lag that the answer has.

        Columns: `set`, `step`, `token` (the text that the step gives), `lag`, `target` (the text whose probability it is: that of step
        `step + lag`), `heads_off` (how many), `heads` (which, as `L3H6 L4H1`), `log_p_clean`, `log_p_off`, `delta`.
        """
        from pandas import DataFrame

        rows = [
            {
                "set": name,
                "step": step,
                "token": self.token_texts[step],
                "lag": lag,
                "target": self.token_texts[step + lag],
                "heads_off": len(off),
                "heads": str(off) if off else "",
                "log_p_clean": float(self.clean[step + lag]),
                "log_p_off": float(self.off[place, step, lag]),
                "delta": float(self.clean[step + lag] - self.off[place, step, lag]),
            }
            for place, name in enumerate(self.sets)
            for step in range(self.n_steps)
            for off in (HeadSet.from_mask(self.heads[place, step]),)
            for lag in range(min(self.off.shape[2], self.n_steps - step))
        ]
        columns = ("set", "step", "token", "lag", "target", "heads_off", "heads", "log_p_clean", "log_p_off", "delta")
        return DataFrame(rows, columns=list(columns))

    def as_json(self) -> dict[str, Any]:
        """What a store keeps beside the trace, whose tokens these are; numbers to seven decimals, null for NaN.

        `off` has an entry for each set and step that switches any head off: both by number, the flat indices of the heads, the log
        probabilities by lag.
        """
        rows = self.heads.flatten(2).any(dim=2).nonzero().tolist()
        return {
            "sets": list(self.sets),
            "lags": self.off.shape[2] - 1,
            "clean": as_numbers(self.clean, _DIGITS),
            "off": [[place, step, _flat(self.heads[place, step]), as_numbers(self.off[place, step], _DIGITS)] for place, step in rows],
        }

    @classmethod
    def from_json(
        cls, content: Mapping[str, Any], tokens: Int[Tensor, " step"], token_texts: tuple[str, ...], n_layers: int, n_heads: int
    ) -> "Effect":
        """What `as_json` wrote, along these tokens of a model of this shape."""
        sets, clean = tuple(content["sets"]), from_numbers(content["clean"])
        off = later(clean, content["lags"]).repeat(len(sets), 1, 1)
        heads = torch.zeros(len(sets), len(tokens), n_layers * n_heads, dtype=torch.bool)
        for place, step, chosen, values in content["off"]:
            heads[place, step, chosen] = True
            off[place, step] = from_numbers(values)
        return cls(sets, tokens, token_texts, clean, off, heads.unflatten(2, (n_layers, n_heads)))


def later(clean: Float[Tensor, " step"], lags: int) -> Float[Tensor, "step lag"]:
    """The log probability of the token at each step and of those `lags` behind it; NaN behind the answer's end."""
    padded = torch.nn.functional.pad(clean, (0, lags), value=math.nan)
    return padded.unfold(0, lags + 1, 1) if len(clean) else clean.new_zeros(0, lags + 1)


def _flat(mask: Bool[Tensor, "layer head"]) -> list[int]:
    return mask.flatten().nonzero().flatten().tolist()
