"""Heads that a schedule's control passes over, so that it does not hit what it is a control for."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from jaxtyping import Bool

from mechdyn.errors import InputError
from mechdyn.heads import HeadSet, heads
from mechdyn.tensors import Tensor, torch

ACTIVE = "active"
"""The heads that retrieve at the step, whichever they are."""
Excluded: TypeAlias = str | HeadSet | None
"""`active`, heads by name, or none."""


def barred(exclude: Excluded, active: Bool[Tensor, "layer head"]) -> Bool[Tensor, "layer head"]:
    """True at the heads that may not be chosen at a step at which the `active` heads retrieve."""
    if exclude is None:
        return torch.zeros_like(active)
    return exclude.fit(*active.shape).mask() if isinstance(exclude, HeadSet) else active


def check_excluded(exclude: Excluded) -> None:
    """Refuse a word that is none.

    Raises:
        InputError: text other than `active`.
    """
    if isinstance(exclude, str) and exclude != ACTIVE:
        raise InputError(f"exclude takes 'active' (the heads that retrieve at the step) or heads such as 'L3H6 L4H1', got {exclude!r}")


def fit_excluded(exclude: Excluded, n_layers: int, n_heads: int) -> None:
    """Refuse heads that a model of this shape does not have."""
    if isinstance(exclude, HeadSet):
        exclude.fit(n_layers, n_heads)


def excluded_as_json(exclude: Excluded) -> dict[str, Any]:
    """Nothing where nothing is excluded, so that schedules keep the keys that they had before there was a choice."""
    if exclude is None:
        return {}
    return {"exclude": exclude if isinstance(exclude, str) else [str(head) for head in exclude]}


def read_excluded(content: Mapping[str, Any], n_layers: int | None, n_heads: int | None) -> dict[str, Any]:
    """What `excluded_as_json` wrote, or what a command line says."""
    asked = content.get("exclude")
    return {} if asked is None else {"exclude": asked if asked == ACTIVE else heads(asked, n_layers, n_heads)}
