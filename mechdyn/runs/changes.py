"""What came out otherwise when a verdict was judged again."""

import math
from collections.abc import Mapping
from typing import Any

from mechdyn.evidence import Verdict

_TOLERANCE = 1e-6


def changes(recorded: Verdict, verdict: Verdict) -> tuple[str, ...]:
    """What differs: the outcome, or measured numbers by name, those that only one of the two has among them."""
    rows = [{_called(evidence["name"]): evidence for evidence in each.as_json()["evidence"]} for each in (recorded, verdict)]
    names = dict.fromkeys([*rows[0], *rows[1]])
    changed = [name for name in names if not _same(rows[0].get(name), rows[1].get(name))]
    return (*(("the verdict",) if recorded.outcome != verdict.outcome else ()), *changed)


def _called(name: str) -> str:
    """The name of a piece of evidence; one that the first release recorded as it would be written now."""
    return name.replace(": ", ", ").removesuffix(", paired")


def _same(row: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Whether two releases measured the same; bounds are compared where they were made in the same way."""
    if row is None or other is None:
        return False
    bounds = ("low", "high") if row["method"] == other["method"] else ()
    pairs = ((row[name], other[name]) for name in ("estimate", *bounds, "null", "n", "note"))
    return all(a == b or (isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, abs_tol=_TOLERANCE)) for a, b in pairs)
