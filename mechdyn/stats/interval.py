"""An estimate with its interval, and by what method that was made."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval.

    Attributes:
        estimate: the number itself.
        low: the lower bound; NaN where there is none.
        high: the upper bound; NaN where there is none.
        n: the samples that it rests on.
        method: how the bounds were made, in words (docs/definitions.md, "Intervals"); empty where an earlier release does not say.
        freedom: degrees of freedom of the Student distribution that a bootstrap's bounds are quantiles of; None where they are of another
            kind, or were read from a file, which does not say.
    """

    estimate: float
    low: float
    high: float
    n: int
    method: str = ""
    freedom: float | None = field(default=None, compare=False, repr=False)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Interval":
        """From its fields, among others; null, which JSON has for NaN, is NaN again. Files of earlier releases name no method."""
        estimate, low, high = (math.nan if values[name] is None else values[name] for name in ("estimate", "low", "high"))
        return cls(estimate, low, high, values["n"], values.get("method", ""))

    def __format__(self, spec: str) -> str:
        """`f"{interval:.2f}"` formats all three numbers, or says that there is no interval; without a spec it is `.3f`."""
        spec = spec or ".3f"
        if math.isnan(self.low) and math.isnan(self.high) and not math.isnan(self.estimate):
            return f"{self.estimate:{spec}} (no interval)"
        return f"{self.estimate:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"

    def __str__(self) -> str:
        return format(self)
