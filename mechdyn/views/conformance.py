"""A model's conformance for the terminal: one line a check."""

from mechdyn.decoding.checks import Check
from mechdyn.decoding.conformance import Conformance

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
