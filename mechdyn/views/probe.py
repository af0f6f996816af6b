"""Figures of hidden states and retrieval scores: Figure 4 with its companions, per-head and calibration plots."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from mechdyn.errors import InputError
from mechdyn.evidence import LESS, Verdict, in_words
from mechdyn.probes.dataset import ProbeData
from mechdyn.probes.probe import Predictor
from mechdyn.probes.report import auprc_by_head, r2_by_head
from mechdyn.stats.cca_offsets import TOPS, Correlations, OffsetCCA
from mechdyn.stats.interval import Interval
from mechdyn.studies.probing import AUPRC, TOP_CORRELATION
from mechdyn.tensors import Tensor
from mechdyn.views.curves import Axis, Curve, curves
from mechdyn.views.text import escape
from mechdyn.views.theme import evenly, finish, look, numbered

_RANGE = (-0.05, 1.03)
_SOLID, _DASH, _DOT, _DASHDOT = range(4)
_N_BINS = 10


def correlations(offsets: Sequence[OffsetCCA], *, title: str = "", dark: bool = False) -> dict[str, go.Figure]:
    """Figure 4, a figure for each of its three series.

    Solid is in sample as in the paper, dashed on held-out samples, dotted the held-out null of other samples' scores (its band the 95 %
    range of pairings). Dash-dotted is persistence: held out, how far the scores at n alone tell those at n + k.
    """
    figures = {}
    for top in TOPS:
        name = "top correlation" if top == 1 else f"mean of the top {top}"
        kinds: list[tuple[str, int, list[tuple[int, Correlations | None]]]] = [
            ("in sample", _SOLID, [(at.offset, at.in_sample) for at in offsets]),
            ("held out", _DASH, [(at.offset, at.held_out) for at in offsets]),
            ("held out, other samples' scores (null)", _DOT, [(at.offset, at.null_held_out) for at in offsets]),
            ("held out, scores at n with scores at n + k", _DASHDOT, [(at.offset, at.persistence) for at in offsets]),
        ]
        lines = []
        for color, (kind, dash, points) in enumerate(kinds):
            known = [(offset, found.means[top]) for offset, found in points if found is not None]
            if known:
                lines.append(Curve(kind, [offset for offset, _ in known], [value for _, value in known], color=color, dash=dash))
        figures[name] = _by_offset(lines, "canonical correlation", title or f"Hidden states and later scores: {name}", dark)
    return figures


def verdict_curves(verdict: Verdict, *, dark: bool = False) -> dict[str, go.Figure]:
    """AUPRC and top correlations of a verdict's evidence by offset, a line for each predictor or kind; empty where it has neither."""
    auprc, top = _series(verdict, AUPRC), _series(verdict, TOP_CORRELATION)
    figures = {}
    if auprc:
        figures["Probe and baselines"] = _by_offset(_lines(auprc), "AUPRC", verdict.model, dark)
    if top:
        figures["Canonical correlations"] = _by_offset(_lines(top), "canonical correlation", verdict.model, dark)
    return figures


def probe_figures(predictors: Mapping[str, Predictor], data: ProbeData, *, dark: bool = False) -> dict[str, go.Figure]:
    """Every head's quality under the first predictor, and of classifiers the calibration of all; on the test samples."""
    name, first = next(iter(predictors.items()))
    prediction, shape = first(data.test), (data.n_layers, data.n_heads)
    if not data.binary:
        return {f"{name} by head": by_head(r2_by_head(prediction, data.test).reshape(shape), metric="R²", dark=dark)}
    return {
        f"{name} by head": by_head(auprc_by_head(prediction, data.test).reshape(shape), dark=dark),
        "Calibration": calibration({each: predict(data.test) for each, predict in predictors.items()}, data.test.target, dark=dark),
    }


def by_head(values: Float[np.ndarray, "layer head"], *, metric: str = "AUPRC", title: str = "", dark: bool = False) -> go.Figure:
    """Layers x heads, coloured by a metric of each head from 0 to 1, below 0 as at 0; heads without a value (NaN) stay blank."""
    n_layers, n_heads = values.shape
    known = int(np.isfinite(values).sum())
    cells = go.Heatmap(
        z=values,
        x=np.arange(n_heads),
        y=np.arange(n_layers),
        zmin=0,
        zmax=1,
        colorscale=evenly(look(dark).scale),
        colorbar={"title": {"text": escape(metric)}},
        hoverongaps=False,
        hovertemplate=f"<b>L%{{y}}H%{{x}}</b><br>{escape(metric)} %{{z:.3f}}<extra></extra>",
    )
    figure = go.Figure(cells)
    figure.update_xaxes(title_text="head", **numbered(n_heads))
    figure.update_yaxes(title_text="layer", **numbered(n_layers))
    subtitle = f"defined for {known} of {n_layers * n_heads} heads in the test samples; blank: undefined"
    return finish(figure, escape(title or metric), subtitle, dark=dark, height=140 + max(120, min(640, 20 * n_layers)))


def calibration(
    predictions: Mapping[str, Float[Tensor, "row head"]], target: Float[Tensor, "row head"], *, title: str = "", dark: bool = False
) -> go.Figure:
    """How often heads retrieve against the predicted probability, in ten bins of equal width; on the diagonal they agree.

    The asymmetric loss does not calibrate: it presses easy negatives less than positives, so its probabilities come out too high.

    Raises:
        InputError: no prediction, or one outside [0, 1].
    """
    from sklearn.calibration import calibration_curve  # takes a second to import

    if not predictions:
        raise InputError("a calibration plot needs at least one predictor, got none")
    colors = look(dark)
    diagonal = {"color": colors.muted, "dash": "dot", "width": 1}
    figure = go.Figure(go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line=diagonal, hoverinfo="skip", showlegend=False))
    for index, (name, prediction) in enumerate(predictions.items()):
        if bool(((prediction < 0) | (prediction > 1)).any()):
            raise InputError(f"a calibration plot needs probabilities in [0, 1], {name!r} predicts others; leave regressors out")
        share, mean = calibration_curve(target.numpy().ravel(), prediction.numpy().ravel(), n_bins=_N_BINS)
        figure.add_trace(
            go.Scatter(
                x=mean,
                y=share,
                name=escape(name),
                mode="lines+markers",
                line={"color": colors.series[index % len(colors.series)], "width": 2},
                hovertemplate=f"<b>{escape(name)}</b><br>predicted %{{x:.3f}}, retrieves %{{y:.3f}}<extra></extra>",
            )
        )
    figure.update_xaxes(title_text="predicted probability to retrieve", range=[-0.03, 1.03], showgrid=False)
    figure.update_yaxes(title_text="share that retrieves", range=[-0.03, 1.03])
    return finish(figure, escape(title or "Calibration"), f"ten bins, {target.numel():,} labels", dark=dark, height=420)


def _series(verdict: Verdict, measure: str) -> dict[str, list[tuple[int, Interval]]]:
    """A measure's evidence by offset `k`, under what else is said of where it was taken; paired differences are left out."""
    series: dict[str, list[tuple[int, Interval]]] = {}
    for evidence in verdict.evidence:
        if evidence.measure == measure and "k" in evidence.at and LESS not in evidence.at:
            others = {key: value for key, value in evidence.at.items() if key != "k"}
            series.setdefault(in_words(others), []).append((evidence.at["k"], evidence.interval))
    return series


def _by_offset(lines: Sequence[Curve], y_title: str, title: str, dark: bool) -> go.Figure:
    return curves(lines, x="offset k (steps ahead)", y=Axis(y_title, _RANGE), title=title, dark=dark)


def _lines(series: Mapping[str, Sequence[tuple[int, Interval]]]) -> list[Curve]:
    return [Curve(name, [offset for offset, _ in points], [value for _, value in points]) for name, points in series.items()]
