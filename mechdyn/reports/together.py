"""Several verdicts together: each under Holm's correction, and one claim over models."""

from collections.abc import Sequence

from mechdyn.claims.meta_analysis import Together
from mechdyn.claims.multiplicity import ALPHA, corrected
from mechdyn.evidence import Table, Verdict
from mechdyn.reports.tables import interval_text
from mechdyn.stats.random_effects import FEWEST_TO_PREDICT


def holm_table(verdicts: Sequence[Verdict]) -> Table:
    """A line a headline verdict: its p, p under Holm's correction over all of them, and the verdict that is left."""
    rows = tuple(
        (
            each.verdict.claim,
            each.verdict.model,
            str(each.verdict.outcome),
            _p_text(each.p),
            _p_text(each.p_holm),
            f"{each.outcome} ({each.why})" if each.why else str(each.outcome),
        )
        for each in corrected(verdicts)
    )
    caption = (
        f"Holm's correction over these {len(rows)} verdicts: meant to keep the chance of any false one at {ALPHA:.0%}; p is two-sided, "
        "from the criteria's intervals (docs/verdicts/registered.md)"
    )
    columns = ("claim", "model", "verdict", "p", "p, Holm", "verdict under Holm")
    return Table("Several verdicts at once", columns, rows, caption, ("p", "p, Holm"))


def together_table(found: Together) -> Table:
    """A line a model with its weight, then the mean, and what to expect of the next model."""
    effects = found.found
    weights = [f"{weight:.0%}" for weight in effects.weights] if effects else [""] * len(found.models)
    rows = [
        (each.model, interval_text(each.evidence.interval), weight, str(each.evidence.interval.n))
        for each, weight in zip(found.models, weights, strict=True)
    ]
    if effects is not None:
        ahead = f"{effects.prediction[0]:.3f} to {effects.prediction[1]:.3f}" if effects.prediction else f"needs {FEWEST_TO_PREDICT} models"
        rows += [("mean of models", interval_text(effects.mean), "", ""), ("next model", ahead, "", "")]
    columns = ("model", "value [95 %]", "weight", "n")
    return Table(f"{found.claim} over models: {found.quantity}", columns, tuple(rows), _caption(found), ("weight", "n"))


def _caption(found: Together) -> str:
    left_out = "".join(f"; {model} is left out: {why}" for model, why in found.left_out)
    if found.found is None:
        return f"fewer than two models can be taken together{left_out}"
    low, high = found.found.tau_bounds
    spread = f"models differ by tau {found.found.tau:.3f} [{low:.3f}, {high:.3f}], I² {found.found.i_squared:.0%}"
    return f"random effects by REML, the mean's interval by Hartung and Knapp; {spread}{left_out}"


def _p_text(p: float | None) -> str:
    return "not to be had" if p is None else "< 0.0001" if p < 1e-4 else f"{p:.4f}"
