"""What a model needs and whether it runs as it should, in words and a table."""

from mechdyn.decoding.conformance import Check, Conformance
from mechdyn.evidence import Table
from mechdyn.models.budget import Budget, LengthBudget
from mechdyn.text import duration_text

_GIB = 2**30
_NUMBERS = ("weights", "keys, values", "working", "in use", "peak GiB", "PFLOP", "TB moved", "time")


def budget_table(budget: Budget) -> Table:
    """A row a length: GiB of each part at the peak, whether it fits, operations, bytes and time of all its samples."""
    size, device = budget.size, budget.device
    about = f"{size.n_samples} runs a length on {device.name}, {str(budget.dtype).removeprefix('torch.')}, {size.n_new} new tokens"
    columns = ("tokens", "batch", *_NUMBERS[:5], "fits", *_NUMBERS[5:])
    rows = tuple(_row(each, budget) for each in budget.lengths)
    return Table(f"{budget.model}: {about}", columns, rows, _caption(budget), numbers=("tokens", "batch", *_NUMBERS, "fits"))


def budget_advice(budget: Budget) -> list[str]:
    """What to change where something does not fit, a line each; none where all does."""
    lines = []
    for each in budget.lengths:
        if each.fits:
            continue
        if each.largest_batch:
            lines.append(f"{each.load.length} tokens fit with --batch-size {each.largest_batch} at most")
        elif budget.longest:
            lines.append(f"{each.load.length} tokens do not fit even alone; prompts of up to {budget.longest} tokens do")
        else:
            lines.append(f"{budget.model} does not fit on {budget.device.name}: take a larger device, several, or a smaller dtype")
    return lines


def _row(each: LengthBudget, budget: Budget) -> tuple[str, ...]:
    memory, device = each.memory, budget.device
    parts = (memory.weights, memory.cache, max(memory.prefill, memory.step), device.in_use, memory.peak + device.in_use)
    return (
        f"{each.load.length:,}",
        f"{each.load.n_samples} x {each.load.n_conditions}",
        *(f"{part / _GIB:.2f}" for part in parts),
        f"of {device.memory / _GIB:.1f}" if each.fits else f"NOT in {device.memory / _GIB:.1f}",
        f"{each.work.flops / 1e15:.3g}",
        f"{each.work.n_bytes / 1e12:.3g}",
        duration_text(each.seconds),
    )


def _caption(budget: Budget) -> str:
    source = "measured here just now" if budget.device.measured else "from its data sheet, so that no run is faster"
    return f"{duration_text(budget.seconds)} in all; {budget.device.name}'s speed is {source}. Batch: samples x conditions."


_OUTCOME = {True: "ok", False: "FAILED", None: "-"}


def conformance_text(conformance: Conformance) -> str:
    """What is looked after, then outcome, name and what was compared with the largest difference found; the verdict in the last line."""
    failed = [check.name for check in conformance.checks if check.passed is False]
    products = f", products {conformance.products}" if conformance.products else ""
    facts = f"{conformance.model}: {conformance.dtype}, context {conformance.n_ctx}{products}"
    verdict = f"failed: {', '.join(failed)}" if failed else "runs as plain Hugging Face code does"
    quirks = (f"{'quirk':6}  {quirk.name:12} {quirk.handling}" for quirk in conformance.quirks)
    return "\n".join([facts, *quirks, *map(_line, conformance.checks), f"{conformance.model}: {verdict}"])


def _line(check: Check) -> str:
    measured = f" ({check.value:.1e}, at most {check.limit:.0e})" if check.value is not None else ""
    return f"{_OUTCOME[check.passed]:6}  {check.name:12} {check.what}{measured}"
