"""Whether a model runs here exactly as plain Hugging Face code runs it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mechdyn.decoding.checks import CHECKS, NEW_TOKENS, Check, Subject
from mechdyn.decoding.plain import PlainModel, output_projections, plain_copy
from mechdyn.models.checkpoint import DeviceMap, read_config
from mechdyn.models.context import beyond_original_context
from mechdyn.models.load import load_checkpoint, wrap_model
from mechdyn.models.model import Model
from mechdyn.models.quirks import Quirk, quirks_of
from mechdyn.models.registry import CONTROLS

_LENGTHS = (48, 29)
_STEPS = 4


@dataclass(frozen=True)
class Conformance:
    """All checks of one model, and what it has of its own that is looked after."""

    model: str
    dtype: str
    n_ctx: int
    checks: tuple[Check, ...]
    quirks: tuple[Quirk, ...] = ()

    @property
    def passed(self) -> bool:
        """No check failed; those that do not apply do not count."""
        return all(check.passed is not False for check in self.checks)

    def __getitem__(self, name: str) -> Check:
        return next(check for check in self.checks if check.name == name)


def check_model(
    name_or_path: str | Path,
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    max_length: int | None = None,
    device_map: DeviceMap | None = None,
    seed: int = 0,
) -> Conformance:
    """Load a model as `load_model` does and hold what a trace rests on against plain Hugging Face code over the same weights.

    Prompts are random tokens, so untrained weights will do. It takes some thirty forwards of at most fifty tokens, and no memory beyond
    the model's.

    Raises:
        MechdynError: the model is refused, with the reason.
    """
    name = str(name_or_path)
    checkpoint, place = load_checkpoint(name, device=device, dtype=dtype, max_length=max_length, device_map=device_map)
    hf = plain_copy(checkpoint.hf, _published_config(name, max_length))
    model = wrap_model(checkpoint.hf, checkpoint.tokenizer, name=name, revision=checkpoint.revision, device=place, max_length=max_length)
    return check_pair(model, hf, seed=seed)


def check_pair(model: Model, hf: Any, seed: int = 0) -> Conformance:
    """Check a model that is loaded already; `hf` is `plain_copy` of what was wrapped, taken before."""
    plain = PlainModel(hf, output_projections(model.bridge))
    n_vocab, longest = min(len(model.tokenizer), plain.n_vocab), model.n_ctx - NEW_TOKENS
    generator = torch.Generator().manual_seed(seed)
    lengths = (min(_LENGTHS[0], longest), min(_LENGTHS[1], longest // 2))
    prompts = tuple(torch.randint(n_vocab, (length,), generator=generator) for length in lengths)
    fed = torch.randint(n_vocab, (len(prompts), _STEPS), generator=generator)
    subject = Subject(model, plain, prompts, fed)
    checks = tuple(check for run in CHECKS for check in run(subject))
    quirks = quirks_of(hf.config, model.tokenizer, hf.generation_config)
    return Conformance(model.name, str(model.dtype).removeprefix("torch."), model.n_ctx, checks, quirks)


def _published_config(name: str, max_length: int | None) -> Any:
    """What plain rotary tables are made from; None: from the loaded model's.

    Beyond its original context a longrope model runs on its long table throughout, which plain code does not take for short prompts.
    """
    if name in CONTROLS:
        return None
    config = read_config(name)
    return None if beyond_original_context(config, max_length) else config
