"""How a run switches heads off, as its config says: the rest of a unit's ablation, and activations where the method needs them."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mechdyn.decoding.ablation import METHODS, REFERENCED, SCOPES, Ablation, ReferenceActivations, reference_activations
from mechdyn.errors import InputError
from mechdyn.runs.session import Session
from mechdyn.schedules import NoAblation
from mechdyn.tasks.task import build_sample
from mechdyn.traces.unit import Unit

if TYPE_CHECKING:
    from mechdyn.runs.worker import Worker

N_REFERENCES = 16
"""Prompts whose activations stand in for ablated heads under mean and resample."""


def check_modes(methods: Sequence[str], scopes: Sequence[str]) -> None:
    """Refuse what is no method or scope, before a model is loaded.

    Raises:
        InputError: it is named with those that there are.
    """
    for what, chosen, known in (("method", methods, METHODS), ("scope", scopes, SCOPES)):
        for each in chosen:
            if each not in known:
                raise InputError(f"ablation {what} must be one of {', '.join(known)}, got {each!r}")


def references(run: Session, methods: Sequence[str], units: Callable[[], Sequence[Unit]]) -> ReferenceActivations | None:
    """z at the end of the first prompts of `units()`, which should be none of those that are measured; None where no method needs it."""
    return run.ask_worker(_reference, units()[:N_REFERENCES]) if set(methods) & set(REFERENCED) else None


def _reference(worker: "Worker", units: Sequence[Unit], _: None) -> ReferenceActivations:
    return reference_activations(worker.model, [build_sample(worker.model, unit.sample) for unit in units])


def how(method: str, scope: str, reference: ReferenceActivations | None, seed: int) -> Mapping[str, Any]:
    """A unit's ablation but for schedule and commit rule; scope `decode` as it was asked for."""
    content = Ablation(NoAblation(), method=method, reference=reference if method in REFERENCED else None, seed=seed).as_json()
    return {name: value for name, value in content.items() if name not in ("schedule", "commit")} | {"scope": scope}
