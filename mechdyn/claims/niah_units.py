"""The units of needle samples that claims plan: cells of length and depth, each cell's samples with seeds of their own."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mechdyn.claims.claim import Request
from mechdyn.errors import InputError
from mechdyn.traces.unit import Unit

EVALUATION, DETECTION, RETEST = 0, 1, 2
"""Parts of a plan that share no seed."""
_SEEDS_A_PART, _N_PARTS = 1_000_000, 3


@dataclass(frozen=True)
class Preset:
    """Prompt lengths, and seeds a length and depth."""

    lengths: tuple[int, ...]
    n_seeds: int
    depths: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)

    @property
    def cells(self) -> list[tuple[int, float]]:
        """Length and depth of every sample, in order."""
        return [(length, depth) for length in self.lengths for depth in self.depths for _ in range(self.n_seeds)]


def chosen_preset(presets: Mapping[str, Preset], name: str, lengths: tuple[int, ...] = ()) -> Preset:
    """The preset by name, with the user's lengths in place of its own where given."""
    if name not in presets:
        raise InputError(f"unknown preset {name!r}; give one of {', '.join(presets)}")
    return replace(presets[name], lengths=lengths) if lengths else presets[name]


def sample_seed(request: Request, part: int, index: int) -> int:
    """The seed of the sample at `index` of a part; requests of different seeds share none."""
    return (_N_PARTS * request.seed + part) * _SEEDS_A_PART + index


def niah_unit(
    request: Request,
    length: int,
    depth: float,
    seed: int,
    *,
    needle_seed: int | None = None,
    ablation: Mapping[str, Any] | None = None,
) -> Unit:
    """A needle sample scored by copy-paste (Eq. 1), with the request's haystack; `ablation` is an ablation's JSON."""
    sample: dict[str, Any] = {"task": "niah", "length": length, "depth": depth, "seed": seed}
    if needle_seed is not None:
        sample["needle_seed"] = needle_seed
    if request.haystack is not None:
        sample |= {"haystack": request.haystack, "haystack_digest": request.haystack_digest}
    return Unit(model=request.model, sample=sample, decoding={"score": "copy_paste", "max_new_tokens": 64}, ablation=dict(ablation or {}))
