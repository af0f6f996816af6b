"""Holm's correction for several tests at once (Holm 1979)."""

from collections.abc import Sequence

from mechdyn.errors import InputError


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values, in the order given: rejecting those at or below α keeps the chance of any false rejection at or below α.

    With p ascending, p̃ᵢ = max over j ≤ i of min(1, (m − j + 1) pⱼ), m counting all tests. It holds however the tests depend on each
    other. A test without a p (None) counts in m, as if its p were 1, and stays None.

    Raises:
        InputError: a p outside [0, 1], NaN among them.
    """
    wrong = [p for p in p_values if p is not None and not 0 <= p <= 1]
    if wrong:
        raise InputError(f"p-values lie between 0 and 1, got {wrong[0]}; give None where there is none")
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p))
        adjusted[place] = largest
    return adjusted
