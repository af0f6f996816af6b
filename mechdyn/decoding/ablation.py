"""How heads are switched off: what takes their place, where, and which forward's keys and values are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from jaxtyping import Bool, Float, Int

from mechdyn.errors import InputError
from mechdyn.hashing import content_hash
from mechdyn.heads import Heads, HeadSet, RankedHeads, heads
from mechdyn.models.model import Model
from mechdyn.schedules import NoAblation, Observation, Schedule, Static, schedule_from_json
from mechdyn.tasks.sample import Sample
from mechdyn.tensors import Tensor, torch

METHODS = ("zero", "mean", "resample", "uniform")
REFERENCED = ("mean", "resample")
"""The methods that need reference activations."""
SCOPES = ("position", "decode", "all")
COMMITS = ("clean", "ablated")
_REFERENCE = ("reference", "seed")


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

    Published "masking" is `method="uniform", scope="decode"` (Wu et al. 2024 and DeCoRe, on their flash-attention path): they set a head's
    query to 0, so that all its keys weigh the same. Two departures: where a model has attention sinks, these take no weight here; and
    their eager path writes the zeros behind the causal mask, so that in a forward of several tokens it also averages later keys, which
    nothing does here. Zeroed columns of W_O in a saved checkpoint, its output bias kept, are `method="zero", scope="all"` (RetMask).

    Args:
        schedule: which heads, step by step.
        method: what takes the place of a head's z at `hook_z`. `zero`; `mean`, the mean over `reference`; `resample`, a seeded draw from
            it at each step; `uniform`, the mean of the values of all keys that the position sees: not padding, and in a layer with a
            sliding window those within it. A head averages the values of its own key-value head.
        scope: where. `position`: in the forward of the current position, from the last prompt token on; keys and values of earlier
            positions stay what `commit` made them. `decode`: another name of `position` with `commit="ablated"`, and stored as that: every
            generated position stays ablated, the prompt is intact. `all`: at every position of every forward, the prompt's too.
        commit: whose keys and values are kept for a position: those of the observing forward, `clean` ("a standard forward pass without
            any interventions", read literally; the default), or those of the `ablated` one. Under scope `all` no cache is kept, and the
            observing forward is always a clean one.
        reference: needed by mean and resample.
        seed: draws for resample.
    """

    schedule: Schedule
    method: str = "zero"
    scope: str = "position"
    commit: str = ""
    reference: ReferenceActivations | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, known in (
            ("method", self.method, METHODS),
            ("scope", self.scope, SCOPES),
            ("commit", self.commit or COMMITS[0], COMMITS),
        ):
            if value not in known:
                raise InputError(f"ablation {name} must be one of {', '.join(known)}, got {value!r}")
        if self.scope == "decode" and self.commit == "clean":
            raise InputError('scope decode keeps the ablated forward\'s keys and values, got commit="clean"; take scope="position"')
        kept = "ablated" if self.scope == "decode" else "clean"
        object.__setattr__(self, "commit", self.commit or kept)
        object.__setattr__(self, "scope", "position" if self.scope == "decode" else self.scope)
        if self.method in REFERENCED and self.reference is None:
            raise InputError(f"{self.method} ablation needs reference activations; pass reference=reference_activations(model, samples)")

    def as_json(self) -> dict[str, Any]:
        """What decides the run, for a unit's key."""
        content: dict[str, Any] = {"schedule": self.schedule.as_json(), "method": self.method, "scope": self.scope, "commit": self.commit}
        if self.reference is not None:
            content |= {"reference": content_hash(self.reference.z.double().tolist()), "seed": self.seed}
        return content

    @property
    def averages(self) -> bool:
        """Whether heads give the mean of the visible values."""
        return self.method == "uniform"

    def check(self, model: Model) -> None:
        """Refuse what does not fit the model, before anything runs."""
        check = getattr(self.schedule, "check", None)
        if check is not None:
            check(model.n_layers, model.n_heads)
        try:
            content_hash(self.schedule.as_json())
        except (TypeError, ValueError) as error:
            raise InputError(f"as_json() of the schedule {type(self.schedule).__name__} must give JSON values: {error}") from error
        wanted = (model.n_layers, model.n_heads, model.d_head)
        if self.reference is not None and tuple(self.reference.z.shape[1:]) != wanted:
            found = tuple(self.reference.z.shape[1:])
            raise InputError(
                f"reference activations are of layers x heads x d_head {found}, this model has {wanted}; take them from this model"
            )

    def heads(self, observation: Observation) -> Bool[Tensor, "layer head"]:
        """The heads that the schedule chooses.

        Raises:
            InputError: it gives anything but True or False for each of the model's heads.
        """
        chosen = self.schedule.heads(observation)
        wanted = tuple(observation.active.shape)
        if not isinstance(chosen, Tensor) or chosen.dtype != torch.bool or tuple(chosen.shape) != wanted:
            came = f"a tensor {tuple(chosen.shape)} of {chosen.dtype}" if isinstance(chosen, Tensor) else f"a {type(chosen).__name__}"
            raise InputError(
                f"the schedule {type(self.schedule).__name__} must return a boolean tensor of layers x heads {wanted}, got {came}; "
                "True switches a head off"
            )
        return chosen

    def values(self, sample: str, step: int) -> Float[Tensor, "layer head d_head"] | None:
        """What takes the place of ablated heads; None is zero, or their mean of values where the ablation `averages`."""
        if self.reference is None or self.method not in REFERENCED:
            return None
        if self.method == "mean":
            return self.reference.mean
        generator = torch.Generator().manual_seed(int(content_hash([self.seed, sample, step]), 16) % (1 << 63))
        return self.reference.z[int(torch.randint(len(self.reference.z), (1,), generator=generator))]


Ablate: TypeAlias = Ablation | Schedule | Heads | None
"""What is to be switched off, however it is said; `as_ablation` reads it."""


def as_ablation(ablate: Ablate | RankedHeads) -> Ablation | None:
    """What `ablate=` means: heads alone are off at every step, a schedule alone is zero ablation at the current position.

    Args:
        ablate: an ablation, a schedule, a set of heads, heads by name (`"L3H6 L4H1"`), a list of heads or pairs; None is no ablation.

    Raises:
        InputError: something else, such as a ranking, of which it is not said how many heads are meant.
    """
    if ablate is None or isinstance(ablate, NoAblation):
        return None
    if isinstance(ablate, Ablation):
        return ablate
    if isinstance(ablate, type):
        raise InputError(f"ablate= takes a schedule, got the class {ablate.__name__}; make one of it, such as {ablate.__name__}()")
    if isinstance(ablate, Schedule):
        return Ablation(ablate)
    if isinstance(ablate, RankedHeads):
        raise InputError(f"ablate= takes a set of heads, got a ranking of {len(ablate.heads)}; say how many are meant with .top(k)")
    if not isinstance(ablate, HeadSet) and callable(getattr(ablate, "heads", None)):
        raise InputError(
            f"the schedule {type(ablate).__name__} has no as_json(), by which its traces are named; decorate it with @schedule"
        )
    return Ablation(Static(heads(ablate)))


def ablation_from_json(
    content: Mapping[str, Any], n_layers: int, n_heads: int, reference: ReferenceActivations | None = None
) -> Ablation | None:
    """The ablation of a unit for a model of `n_layers` x `n_heads` heads; empty content is none.

    Args:
        content: what `Ablation.as_json` gave. For schedules of mechdyn's own the result's `as_json` is the same again.
        n_layers: layers of the model.
        n_heads: heads a layer.
        reference: the activations that mean and resample ablation put in a head's place; a unit names them by their hash alone.

    Raises:
        InputError: an unknown schedule or option, a head outside the model, a number of heads that the model has not, or a method
            whose reference activations are not given or are others than the unit names.
    """
    if not content:
        return None
    options = dict(content)
    named = {name: options.pop(name) for name in _REFERENCE if name in options}
    schedule = schedule_from_json(options.pop("schedule", {}), n_layers, n_heads)
    needs_reference = options.get("method") in REFERENCED or "reference" in named
    try:
        ablation = Ablation(schedule, **options, reference=reference if needs_reference else None, seed=named.get("seed", 0))
    except TypeError as error:
        raise InputError(f"an ablation has schedule, method, scope, commit, reference and seed, got {sorted(content)}") from error
    check = getattr(schedule, "check", None)
    if check is not None:
        check(n_layers, n_heads)
    if ablation.as_json().get("reference") != named.get("reference"):
        raise InputError("the reference activations are others than those the unit names; take them from the same model and samples")
    return ablation


def reference_activations(model: Model, samples: Sequence[Sample]) -> ReferenceActivations:
    """z of every head at the last prompt position of each sample."""
    if not samples:
        raise InputError("reference activations need at least one sample, got none")
    with torch.inference_mode():
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
