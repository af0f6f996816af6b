import itertools
import json

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
import pytest

from mechdyn.errors import InputError
from mechdyn.views import for_paper, timeline
from mechdyn.views.theme import DARK, LIGHT, Look, channels, color_at, faded, heading, ink_on, score_axis, score_scale
from tests.views.made_up import made_up, random_scores

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
SIGHT = {
    "normal": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def linear(color: str) -> np.ndarray:
    channels = np.array([int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def oklab(rgb: np.ndarray) -> np.ndarray:
    """Ottosson 2020."""
    cones = np.cbrt(
        np.array(
            [
                [0.4122214708, 0.5363325363, 0.0514459929],
                [0.2119034982, 0.6806995451, 0.1073969566],
                [0.0883024619, 0.2817188376, 0.6299787005],
            ]
        )
        @ rgb
    )
    mixed = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.array(mixed) @ cones


def closest(colors: tuple[str, ...], sight: str) -> float:
    seen = [oklab(np.clip(SIGHT[sight] @ linear(color), 0, 1)) for color in colors]
    return min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2))


def contrast(a: str, b: str) -> float:
    dark, bright = sorted(float(linear(color) @ [0.2126, 0.7152, 0.0722]) for color in (a, b))
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("look", [LIGHT, DARK], ids=lambda look: look.name)
@pytest.mark.parametrize("sight", SIGHT)
def test_series_stay_apart_for_every_sight_and_farther_than_in_a_known_safe_palette(look: Look, sight: str) -> None:
    assert closest(look.series, sight) > 0.13
    assert closest(look.series, sight) > closest(OKABE_ITO, sight)


@pytest.mark.parametrize("look", [LIGHT, DARK], ids=lambda look: look.name)
def test_lines_and_text_stand_out_from_the_background(look: Look) -> None:
    assert min(contrast(color, look.background) for color in (*look.series, look.accent)) >= 3
    assert contrast(look.ink, look.background) >= 7
    assert contrast(look.muted, look.background) >= 4.5


@pytest.mark.parametrize("look", [LIGHT, DARK], ids=lambda look: look.name)
def test_the_score_scale_is_monotone_in_lightness(look: Look) -> None:
    for sight in SIGHT.values():
        lightness = [oklab(np.clip(sight @ linear(color), 0, 1))[0] for color in look.scale]
        steps = np.diff(lightness)
        assert (steps < 0).all() or (steps > 0).all()


@pytest.mark.parametrize("look", [LIGHT, DARK], ids=lambda look: look.name)
@pytest.mark.parametrize("sight", SIGHT)
def test_the_ends_of_the_quality_scale_are_told_apart(look: Look, sight: str) -> None:
    assert closest((look.quality[0], look.quality[-1]), sight) > 0.13


def test_templates_are_registered() -> None:
    assert "mechdyn" in pio.templates and "mechdyn_dark" in pio.templates


def test_no_button_sends_the_figure_anywhere() -> None:
    for name in ("mechdyn", "mechdyn_dark"):
        assert "sendDataToCloud" in pio.templates[name].layout.modebar.remove


def test_a_threshold_shows_as_a_jump() -> None:
    scale = score_scale(LIGHT, 0.0, 1.0, 0.5)
    assert [color for place, color in scale if place == 0.5] == [LIGHT.below[1], LIGHT.scale[1]]
    assert [place for place, _ in scale] == sorted(place for place, _ in scale)
    assert score_scale(LIGHT, 0.0, 1.0, 0.0)[0] == (0.0, LIGHT.scale[0])


def test_the_color_axis_holds_scores_outside_zero_and_one() -> None:
    axis = score_axis(np.array([[-0.5, 2.0, np.nan]]), 0.5, LIGHT)
    assert (axis["cmin"], axis["cmax"], axis["colorbar"]["tickvals"]) == (-0.5, 2.0, [-0.5, 0.5, 2.0])
    assert score_axis(np.array([0.0, 1.0]), 0.0, LIGHT)["showscale"] is False


def test_a_figure_for_paper_is_a_smaller_copy() -> None:
    figure = go.Figure(go.Scatter(x=[0], y=[0], mode="text", text=["a"]), layout={"height": 400, "title": {"text": "t"}})
    before = json.loads(figure.to_json())
    copy = for_paper(figure, 2)
    assert (copy.layout.width, copy.layout.font.size, copy.layout.title.text) == (650, 9, None)
    assert json.loads(figure.to_json()) == before
    with pytest.raises(InputError, match="spans 1 or 2 columns, got 3"):
        for_paper(figure, 3)


@pytest.mark.parametrize("n_steps", [5, 30, 43, 79, 81, 300])
@pytest.mark.parametrize("columns", [1, 2])
def test_labels_of_tokens_keep_apart_on_paper_and_crosses_too(n_steps: int, columns: int) -> None:
    scores = np.zeros((n_steps, 2, 2))
    figure = for_paper(timeline(made_up(scores, texts=[f"t{step}" for step in range(n_steps)])), columns)
    axis, crosses = figure.layout.xaxis2, figure.data[1]
    step_pixels = figure.layout.width * 5 / 6 / n_steps
    apart = np.diff(axis.tickvals)
    assert len(set(apart)) == 1 and apart[0] * step_pixels >= 9
    assert list(axis.ticktext) == [f"t{step}" for step in axis.tickvals]
    assert crosses.name == "no head retrieves" and crosses.marker.size <= max(2, step_pixels)
    said = {1: "generated token", 2: "generated token (every 2nd labelled)", 3: "generated token (every 3rd labelled)"}
    assert axis.title.text == said.get(apart[0], f"generated token (every {apart[0]}th labelled)")


def test_the_heading_names_model_and_task_escaped() -> None:
    trace = made_up(random_scores(0), task="<niah>", meta={"model": {"name": "org/m&m"}})
    assert heading(trace) == "org/m&amp;m · &lt;niah&gt;"
    assert heading(made_up(random_scores(0), meta={})) == "niah"


def test_the_heading_tells_length_depth_and_seed_where_the_trace_does() -> None:
    setting = {"model": {"name": "mini"}, "length": 2048, "depth": 0.3333333, "seed": 7}
    assert heading(made_up(random_scores(0), meta=setting)) == "mini · niah · 2,048 tokens, depth 0.33, seed 7"
    assert heading(made_up(random_scores(0), meta={"depth": 0})) == "niah · depth 0"


def test_faded_is_the_same_color_with_opacity() -> None:
    assert faded("#FF8000", 0.25) == "rgba(255,128,0,0.25)"


def test_a_colour_at_a_place_is_between_its_stops_and_before_a_jump() -> None:
    scale = [(0.0, "#000000"), (0.5, "#646464"), (0.5, "#0000FF"), (1.0, "#00FF00")]
    assert [color_at(scale, place).tolist() for place in (-1.0, 0.25, 0.5)] == [[0, 0, 0], [50, 50, 50], [100, 100, 100]]
    assert [color_at(scale, place).tolist() for place in (0.75, 2.0)] == [[0, 127.5, 127.5], [0, 255, 0]]


def test_ink_is_black_or_white_whichever_contrasts_more() -> None:
    for color in (*LIGHT.scale, *LIGHT.quality, *DARK.scale, "#757575", "#777777"):
        assert ink_on(channels(color)) == max(("#000000", "#FFFFFF"), key=lambda ink: contrast(ink, color))
