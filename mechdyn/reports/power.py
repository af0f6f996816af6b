"""How many samples a verdict needs, as a table, in words and as JSON."""

from typing import Any

from mechdyn.claims.power import WANTED, Power, PowerAt
from mechdyn.evidence import Outcome, Table
from mechdyn.reports.budget import duration_text
from mechdyn.reports.tables import interval_text
from mechdyn.runs.power import PlannedPower
from mechdyn.stats.proportions import Bounds

_OUTCOMES = (Outcome.SUPPORTED, Outcome.REFUTED)


def power_table(planned: PlannedPower) -> Table:
    """A row a number of samples: the share of runs that come to each verdict, the range that the pilot leaves open, time and memory."""
    power, peak = planned.power, max(each.memory.peak for each in planned.budget.lengths) + planned.budget.device.in_use
    ranged = any(point.supported_range for point in power.points)
    ranges = ("supported, the pilot's range", "refuted, the pilot's range") if ranged else ()
    numbers = ("samples", "supported", "refuted", *ranges, "time", "peak GiB")
    rows = tuple(
        (
            str(point.n),
            interval_text(point.supported, spec=".2f"),
            interval_text(point.refuted, spec=".2f"),
            *(_range_text(spread) for spread in _ranges(point) if ranged),
            duration_text(planned.seconds(point.n)),
            f"{peak / 2**30:.2f}",
        )
        for point in power.points
    )
    budget = planned.budget
    lengths = ", ".join(str(each.load.length) for each in budget.lengths)
    about = f"time and memory: {budget.model} on {budget.device.name}, prompts of {lengths} tokens"
    return Table(f"Power of {power.claim}: share of runs", numbers, rows, f"{power.how}; {about}", numbers, droppable=(*ranges, "peak GiB"))


def power_lines(power: Power) -> list[str]:
    """How many samples each verdict needs for a power of 80 %, a line each."""
    most, lines = max(point.n for point in power.points), []
    for outcome in _OUTCOMES:
        n = power.needed(outcome)
        reached = f"{n} samples" if n is not None else f"more than {most} samples, or it is not what holds here"
        lines.append(f"{WANTED:.0%} of runs come to {outcome} with {reached}")
    return lines


def power_json(planned: PlannedPower) -> dict[str, Any]:
    """The curve's frame as records, how it was made, what is needed, and the budget of the largest run."""
    rows = planned.power.to_frame().astype(object)
    records = rows.where(rows.notna(), None).to_dict("records")
    needed = {str(outcome): planned.power.needed(outcome) for outcome in _OUTCOMES}
    seconds = {str(point.n): planned.seconds(point.n) for point in planned.power.points}
    about = {"claim": planned.power.claim, "how": planned.power.how, "power": WANTED, "needed": needed}
    return about | {"curve": records, "seconds": seconds, "budget": planned.budget.as_json()}


def _ranges(point: PowerAt) -> tuple[Bounds | None, Bounds | None]:
    return point.supported_range, point.refuted_range


def _range_text(spread: Bounds | None) -> str:
    return f"{spread[0]:.2f} to {spread[1]:.2f}" if spread else ""
