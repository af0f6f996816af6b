"""What a model needs and whether it runs as it should, in words and a table."""

from rich.table import Table

from mechdyn.decoding.checks import Check
from mechdyn.decoding.conformance import Conformance
from mechdyn.models.budget import LengthPlan, RunPlan
from mechdyn.reports.tables import table

_GIB = 2**30


def plan_table(plan: RunPlan) -> Table:
    """A row a length: GiB of each part at the peak, whether it fits, operations, bytes and time of all its runs."""
    config, device = plan.config, plan.device
    about = f"{config.runs} runs a length on {device.name}, {str(plan.dtype).removeprefix('torch.')}, {config.max_new_tokens} new tokens"
    built = table(
        f"{config.model}: {about}",
        *("tokens", "batch", "weights", "keys, values", "working", "in use", "peak GiB", "fits", "PFLOP", "TB moved", "hours"),
        caption=_caption(plan),
    )
    for each in plan.lengths:
        built.add_row(*_row(each, plan))
    return built


def plan_advice(plan: RunPlan) -> list[str]:
    """What to change where something does not fit, a line each; none where all does."""
    lines = []
    for each in plan.lengths:
        if each.fits:
            continue
        if each.largest_batch:
            lines.append(f"{each.load.length} tokens fit with --batch-size {each.largest_batch} at most")
        elif plan.longest:
            lines.append(f"{each.load.length} tokens do not fit even alone; prompts of up to {plan.longest} tokens do")
        else:
            lines.append(f"{plan.config.model} does not fit on {plan.device.name}: take a larger device, several, or a smaller dtype")
    return lines


def _row(each: LengthPlan, plan: RunPlan) -> list[str]:
    memory = each.memory
    parts = (memory.weights, memory.cache, max(memory.prefill, memory.step), plan.device.in_use, memory.peak + plan.device.in_use)
    return [
        f"{each.load.length:,}",
        f"{each.load.n_samples} x {each.load.n_conditions}",
        *(f"{part / _GIB:.2f}" for part in parts),
        f"of {plan.device.memory / _GIB:.1f}" if each.fits else f"NOT in {plan.device.memory / _GIB:.1f}",
        f"{each.work.flops / 1e15:.3g}",
        f"{each.work.n_bytes / 1e12:.3g}",
        f"{each.seconds / 3600:.3g}",
    ]


def _caption(plan: RunPlan) -> str:
    source = "measured here just now" if plan.device.measured else "from its data sheet, so that no run is faster"
    return f"{plan.hours:.3g} hours in all; {plan.device.name}'s speed is {source}. Batch: samples x conditions."


_OUTCOME = {True: "ok", False: "FAILED", None: "-"}


def conformance_text(conformance: Conformance) -> str:
    """What is looked after, then outcome, name and what was compared with the largest difference found; the verdict in the last line."""
    failed = [check.name for check in conformance.checks if check.passed is False]
    facts = f"{conformance.model}: {conformance.dtype}, context {conformance.n_ctx}"
    verdict = f"failed: {', '.join(failed)}" if failed else "runs as plain Hugging Face code does"
    quirks = (f"{'quirk':6}  {quirk.name:12} {quirk.handling}" for quirk in conformance.quirks)
    return "\n".join([facts, *quirks, *map(_line, conformance.checks), f"{conformance.model}: {verdict}"])


def _line(check: Check) -> str:
    measured = f" ({check.value:.1e}, at most {check.limit:.0e})" if check.value is not None else ""
    return f"{_OUTCOME[check.passed]:6}  {check.name:12} {check.what}{measured}"
