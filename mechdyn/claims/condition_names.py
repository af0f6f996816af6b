"""What to call an ablation, from its JSON: a stored trace says under which condition it was made, not what a plan called it."""

from collections.abc import Mapping
from typing import Any

from mechdyn.claims.conditions import (
    CLEAN,
    DYNAMIC,
    RANDOM_AVERAGE,
    RANDOM_FIXED,
    RANDOM_LAYERS,
    RANDOM_MATCHED,
    STATIC_AVERAGE,
    STATIC_MATCHED,
    role,
)


def condition_name(ablation: Mapping[str, Any]) -> str:
    """The plan's own name (`role`) where the ablation grid has such a condition."""
    if not ablation:
        return CLEAN
    name = role(_schedule_name(dict(ablation.get("schedule", {}))), str(ablation.get("commit", "clean")))
    others = [str(ablation[key]) for key, usual in (("method", "zero"), ("scope", "position")) if ablation.get(key, usual) != usual]
    return ", ".join([name, *others])


def _schedule_name(schedule: dict[str, Any]) -> str:
    kind = schedule.get("kind")
    if kind == "dynamic":
        return DYNAMIC if schedule.get("top_k") is None else f"{DYNAMIC} top {schedule['top_k']}"
    if kind == "static":
        return STATIC_AVERAGE
    if kind == "random":
        return RANDOM_LAYERS if schedule.get("matched") == "layer" else RANDOM_AVERAGE if schedule.get("fresh", True) else RANDOM_FIXED
    if kind == "size-matched":
        return STATIC_MATCHED if "ranking" in schedule else RANDOM_MATCHED
    return str(kind or "ablated")
