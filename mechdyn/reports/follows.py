"""Tables of what the sets follow."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

from mechdyn.evidence import Table
from mechdyn.reports.tables import interval_text, methods_text
from mechdyn.stats.contrasts import PAIRS, Contrasts
from mechdyn.stats.interval import Interval
from mechdyn.stats.modes import CIRCUITS, Modes
from mechdyn.studies.follows import DIFFERENCES, Follows

_SHARED = ("same token, other step", "other token, same step", "neither the same", "both the same")
_MOST_HEADS = 5


def follows_tables(found: Follows, title: str, carried: Mapping[tuple[str, str], Interval] | None = None) -> list[Table]:
    """Contrasts and shares of variance where the task has orders, then predictors, modes, and how far modes carry over."""
    tables = []
    if found.across is not None and found.within is not None:
        tables.append(_contrasts(found.across, found.within, title))
    if found.variance is not None:
        shares = found.variance.shares
        caption = f"{found.variance.n_rows} steps of {found.variance.n_clusters} needles, {found.variance.n_heads} heads that vary"
        lines = [(name, interval_text(share)) for name, share in shares.items()]
        caption = methods_text(shares.values(), caption)
        tables.append(Table("shares of the variance of all heads", ("goes by", "share"), tuple(lines), caption, ("share",)))
    tables += [_predictors(found), _modes(found.modes, found.shape[1])]
    return [*tables, _carried(carried)] if carried else tables


def modes_remark(modes: Modes) -> str:
    """Whether the modes are called circuits, and why."""
    if modes.n_modes == 1:
        return "One mode is as good as several on held-out needles: heads do not come in groups beyond their rates."
    limit = " (the most that were tried)" if modes.n_modes == max(modes.held_out) else ""
    called = "are called circuits" if modes.are_circuits else "are not called circuits"
    return (
        f"{modes.n_modes} modes{limit} {called}: their split-half agreement is {modes.agreement:.2f}, where {CIRCUITS} is asked for; the "
        f"greatest of {len(modes.agreement_null)} null sets is {max(modes.agreement_null):.2f}, which it must be above."
    )


def _contrasts(across: Contrasts, within: Contrasts, title: str) -> Table:
    numbers = ("in another haystack", "in the same haystack")
    names = (*PAIRS, *DIFFERENCES, "token_share", "step_share")
    labels = (*_SHARED, *(name.replace("_", " ") for name in DIFFERENCES), "share of the token", "share of the step")
    lines = [
        (label, *(interval_text(getattr(each, name)) if getattr(each, name).n else "–" for each in (across, within)))
        for name, label in zip(names, labels, strict=True)
    ]
    counts = ", ".join(f"{count:,} {label}" for label, count in zip(_SHARED, across.n_pairs.values(), strict=True))
    caption = (
        f"Jaccard of two steps of {across.n_needles} needles ({within.n_needles} within a haystack); pairs between haystacks: {counts}"
    )
    caption = methods_text((getattr(each, name) for each in (across, within) for name in names), caption)
    return Table(title, ("steps with", *numbers), tuple(lines), caption, numbers)


def _predictors(found: Follows) -> Table:
    deviance = found.deviance
    numbers = ("alone", "with all above", "added to those")
    lines = [
        (name, *(interval_text(each[name]) for each in (deviance.alone, deviance.together, deviance.added))) for name in deviance.alone
    ]
    caption = f"{deviance.n_rows:,} steps of {deviance.n_clusters} needles, {deviance.n_heads} heads; of the deviance of each head's rate"
    caption = methods_text(deviance.alone.values(), caption)
    return Table("held-out deviance explained: what predicts which heads fire", ("predictor", *numbers), tuple(lines), caption, numbers)


def _modes(modes: Modes, n_heads: int) -> Table:
    numbers = ("share of steps", "heads a step")
    lines = []
    for mode, (weight, rates) in enumerate(zip(modes.mixture.weights, modes.mixture.rates, strict=True)):
        lines.append((str(mode), f"{weight:.3f}", f"{rates.sum():.1f}", _top(modes.mixture.profiles[mode], modes.heads, n_heads)))
    gain = f"held-out gain over one mode {interval_text(modes.gain)} nats a step"
    caption = f"{modes.n_rows:,} retrieving steps of {modes.n_clusters} needles; {gain}"
    columns = ("mode", *numbers, "heads that fire more than elsewhere")
    return Table("co-activation modes", columns, tuple(lines), methods_text((modes.gain,), caption), numbers)


def _top(profile: Float[np.ndarray, " head"], heads: Int[np.ndarray, " head"], n_heads: int) -> str:
    """The heads whose rate rises most in a mode, and by how much."""
    ranked = sorted(zip(profile, heads, strict=True), key=lambda pair: -pair[0])[:_MOST_HEADS]
    return ", ".join(f"L{head // n_heads}H{head % n_heads} {rise:+.2f}" for rise, head in ranked if rise > 0)


def _carried(carried: Mapping[tuple[str, str], Interval]) -> Table:
    names = list(dict.fromkeys(source for source, _ in carried))
    lines = [(source, *(interval_text(carried[source, target]) for target in names)) for source in names]
    caption = methods_text(carried.values(), "gain over one mode, nats a step; on the run itself, held out")
    return Table("modes fitted on one run, tried on another", ("fitted on", *names), tuple(lines), caption, tuple(names))
