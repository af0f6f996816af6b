"""Steps of many generations with what each has in common with others: what contrasts and shares of variance are taken on."""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Int

from mechdyn.errors import InputError


@dataclass(frozen=True, eq=False)
class Steps:
    """Head sets of steps, one a row, and for each row a number for each thing that it may share with others.

    Attributes:
        sets: where a head retrieves.
        token: the token that is copied, the same number in every needle.
        step: the number of the step.
        needle: the needle that is asked for.
        haystack: the text around it.
        order: the order of the needle's pieces.
        within: which token of its piece is copied, 0 where pieces are one token each.
    """

    sets: Bool[np.ndarray, "row head"]
    token: Int[np.ndarray, " row"]
    step: Int[np.ndarray, " row"]
    needle: Int[np.ndarray, " row"]
    haystack: Int[np.ndarray, " row"]
    order: Int[np.ndarray, " row"]
    within: Int[np.ndarray, " row"]

    def __post_init__(self) -> None:
        wrong = [item.name for item in fields(self) if len(getattr(self, item.name)) != len(self.sets)]
        if wrong:
            raise InputError(f"steps need one {wrong[0]} for each of {len(self.sets)} rows, got {len(getattr(self, wrong[0]))}")

    def __len__(self) -> int:
        return len(self.sets)

    @property
    def retrieving(self) -> Bool[np.ndarray, " row"]:
        """Rows with a head that retrieves."""
        return np.any(self.sets, axis=1)

    def at(self, rows: Bool[np.ndarray, " row"] | Int[np.ndarray, " some"]) -> "Steps":
        """Some of the rows."""
        return Steps(**{item.name: getattr(self, item.name)[rows] for item in fields(self)})
