from collections import defaultdict

import numpy as np
import pytest

from mechdyn.errors import InputError
from mechdyn.views import Cells, grid
from mechdyn.views.grid import opacity
from mechdyn.views.theme import LIGHT
from tests.views.made_up import subtitle
from tests.views.test_theme import contrast


def planted(counts: list[list[int]], value: float = 0.5) -> Cells:
    table = np.array(counts)
    return Cells(tuple(range(256, 256 + table.shape[1])), tuple(np.linspace(0, 1, len(table)).tolist()), np.full(table.shape, value), table)


def test_cells_of_samples_are_their_means_and_counts() -> None:
    rng = np.random.default_rng(0)
    lengths, depths, values = rng.choice([256, 512, 1024], 50), rng.choice([0.0, 0.5], 50), rng.random(50)
    groups = defaultdict(list)
    for length, depth, value in zip(lengths.tolist(), depths.tolist(), values.tolist(), strict=True):
        groups[depth, length].append(value)
    cells = Cells.of_samples(lengths.tolist(), depths.tolist(), values.tolist())
    assert (cells.lengths, cells.depths) == ((256, 512, 1024), (0.0, 0.5))
    for row, depth in enumerate(cells.depths):
        for column, length in enumerate(cells.lengths):
            assert cells.counts[row, column] == len(groups[depth, length])
            assert cells.values[row, column] == pytest.approx(np.mean(groups[depth, length]))


def test_a_cell_of_no_sample_is_blank_whatever_its_value() -> None:
    cells = Cells.of_samples([1, 2], [0.0, 1.0], [1.0, 0.25])
    assert np.isnan(cells.values[0, 1])
    shown, veil, numbers = grid({"a": cells}).data
    np.testing.assert_array_equal(shown.z, [[1.0, np.nan], [np.nan, 0.25]])
    np.testing.assert_array_equal(np.isnan(veil.z), np.isnan(shown.z))
    assert list(numbers.text) == ["1.00", "0.25"]
    np.testing.assert_array_equal(grid({"a": planted([[0, 3]], value=0.75)}).data[0].z, [[np.nan, 0.75]])


def test_opacity_grows_with_the_samples_of_all_conditions() -> None:
    figure = grid({"a": planted([[1, 4]]), "b": planted([[8, 0]])})
    np.testing.assert_allclose(1 - figure.data[1].z, [[0.25 + 0.75 / 8, 0.25 + 0.75 / 2]])
    assert 1 - figure.data[4].z[0, 0] == 1
    assert subtitle(figure) == "opacity: samples of the cell, 1 to 8; blank: none"


def test_equal_counts_are_opaque_and_the_title_says_how_many() -> None:
    figure = grid({"a": planted([[5, 5], [0, 5]])})
    assert np.nanmax(figure.data[1].z) == 0
    assert "5 samples a cell" in subtitle(figure)
    np.testing.assert_array_equal(opacity(np.array([0, 5]), 5, 5), [0, 1])


def test_conditions_stand_side_by_side_on_one_scale() -> None:
    figure = grid({"dynamic": planted([[1]]), "static <b>": planted([[1]]), "random": planted([[1]])}, metric="F1")
    assert [annotation.text for annotation in figure.layout.annotations] == ["<b>dynamic</b>", "<b>static &lt;b&gt;</b>", "<b>random</b>"]
    shown = [trace for trace in figure.data if trace.type == "heatmap" and trace.coloraxis]
    assert {trace.coloraxis for trace in shown} == {"coloraxis"} and [trace.xaxis for trace in shown] == ["x", "x2", "x3"]
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0, 1)


def test_long_names_are_broken_into_lines_that_fit_their_panel() -> None:
    names = ["clean", "dynamic, commit clean", "random heads, matched to each step"]
    figure = grid({name: planted([[1]]) for name in names})
    shown = [annotation.text.replace("</b>", "").split("<br>") for annotation in figure.layout.annotations]
    assert [" ".join(line.removeprefix("<b>") for line in lines) for lines in shown] == names
    panel = (figure.layout.meta["min_width"] - 160) / len(names)
    assert max(len(line.removeprefix("<b>")) for lines in shown for line in lines) * 8 <= panel
    assert figure.layout.margin.t - 92 >= 16 * (max(map(len, shown)) - 1)


def test_numbers_are_readable_on_their_cells() -> None:
    cells = Cells((1, 2, 3), (0.0,), np.array([[0.0, 0.5, 1.0]]), np.array([[9, 9, 9]]))
    colors = grid({"a": cells}).data[2].textfont.color
    assert all(contrast(ink, fill) >= 4.5 for ink, fill in zip(colors, LIGHT.quality, strict=True))


def test_bad_cells_are_refused() -> None:
    with pytest.raises(InputError, match="at least one sample in one of its conditions"):
        grid({"a": planted([[0, 0]])})
    with pytest.raises(InputError, match="at least one sample"):
        grid({})
    with pytest.raises(InputError, match="1 depths x 3 lengths needs values and counts of that shape"):
        Cells((1, 2, 3), (0.0,), np.zeros((2, 2)), np.zeros((2, 2), dtype=int))
    with pytest.raises(InputError, match="cell with samples has no finite value"):
        Cells((1,), (0.0,), np.array([[np.nan]]), np.array([[2]]))
    with pytest.raises(InputError, match="one length, depth and value a sample, got 1, 1 and 0"):
        Cells.of_samples([1], [0.0], [])
