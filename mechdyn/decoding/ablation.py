"""How heads are switched off: what takes their place, where, and which forward's keys and values are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechdyn.errors import InputError
from mechdyn.hashing import content_hash
from mechdyn.models.model import Model
from mechdyn.schedules import Schedule
from mechdyn.tasks.sample import Sample

METHODS = ("zero", "mean", "resample")
SCOPES = ("position", "all")
COMMITS = ("clean", "ablated")


@dataclass(frozen=True, eq=False)
class ReferenceActivations:
    """z of every head at positions of other prompts: what mean and resample ablation put in a head's place."""

    z: Float[Tensor, "sample layer head d_head"]

    @property
    def mean(self) -> Float[Tensor, "layer head d_head"]:
        return self.z.mean(dim=0)


@dataclass(frozen=True)
class Ablation:
    """A schedule and what switching a head off means.

    Args:
        schedule: which heads, step by step.
        method: zero at `hook_z`, or the mean over `reference`, or a seeded draw from it at each step.
        scope: the current position only (keys and values of earlier positions stay), or every position of every forward.
        commit: keep the observing forward's keys and values for a position ("a standard forward pass without any interventions", read
            literally), or the ablated one's. Under scope `all` no cache is kept, and the observing forward is always a clean one.
        reference: needed by mean and resample.
        seed: draws for resample.
    """

    schedule: Schedule
    method: str = "zero"
    scope: str = "position"
    commit: str = "clean"
    reference: ReferenceActivations | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, known in (
            ("method", self.method, METHODS),
            ("scope", self.scope, SCOPES),
            ("commit", self.commit, COMMITS),
        ):
            if value not in known:
                raise InputError(f"ablation {name} must be one of {', '.join(known)}, got {value!r}")
        if self.method != "zero" and self.reference is None:
            raise InputError(f"{self.method} ablation needs reference activations; pass reference=reference_activations(model, samples)")

    def as_json(self) -> dict[str, Any]:
        """What decides the run, for a unit's key."""
        content: dict[str, Any] = {"schedule": self.schedule.as_json(), "method": self.method, "scope": self.scope, "commit": self.commit}
        if self.reference is not None:
            content |= {"reference": content_hash(self.reference.z.double().tolist()), "seed": self.seed}
        return content

    def check(self, model: Model) -> None:
        """Refuse what does not fit the model, before anything runs."""
        check = getattr(self.schedule, "check", None)
        if check is not None:
            check(model.n_layers, model.n_heads)
        wanted = (model.n_layers, model.n_heads, model.d_head)
        if self.reference is not None and tuple(self.reference.z.shape[1:]) != wanted:
            found = tuple(self.reference.z.shape[1:])
            raise InputError(
                f"reference activations are of layers x heads x d_head {found}, this model has {wanted}; take them from this model"
            )

    def values(self, sample: str, step: int) -> Float[Tensor, "layer head d_head"] | None:
        """What takes the place of ablated heads; None is zero."""
        if self.reference is None or self.method == "zero":
            return None
        if self.method == "mean":
            return self.reference.mean
        generator = torch.Generator().manual_seed(int(content_hash([self.seed, sample, step]), 16) % (1 << 63))
        return self.reference.z[int(torch.randint(len(self.reference.z), (1,), generator=generator))]


@torch.inference_mode()
def reference_activations(model: Model, samples: Sequence[Sample]) -> ReferenceActivations:
    """z of every head at the last prompt position of each sample."""
    if not samples:
        raise InputError("reference activations need at least one sample, got none")
    return ReferenceActivations(torch.stack([_z_at_end(model, sample.tokens) for sample in samples]))


def _z_at_end(model: Model, tokens: Int[Tensor, " pos"]) -> Float[Tensor, "layer head d_head"]:
    found: dict[int, Tensor] = {}

    def read(z: Tensor, hook: Any) -> None:
        found[hook.layer()] = z[0, -1].float().cpu()

    hooks = [(f"blocks.{layer}.attn.hook_z", read) for layer in range(model.n_layers)]
    positions = torch.arange(len(tokens))[None]
    model.bridge.run_with_hooks(
        tokens[None].to(model.device),
        fwd_hooks=hooks,
        attention_mask=torch.ones_like(positions).to(model.device),
        position_ids=positions.to(model.device),
        return_type="logits",
    )
    return torch.stack([found[layer] for layer in range(model.n_layers)])
