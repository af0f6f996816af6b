from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from mechdyn.views import for_paper, timeline
from tests.browser import CHROMIUM
from tests.views.made_up import made_up

pytest.importorskip("kaleido", reason="images need the extra [images]")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("kind", "starts"), [("svg", b"<svg"), pytest.param("pdf", b"%PDF", marks=SLOW), pytest.param("png", b"\x89PNG", marks=SLOW)]
)
def test_figures_become_images(tmp_path: Path, kind: str, starts: bytes) -> None:
    path = tmp_path / f"timeline.{kind}"
    figure = for_paper(timeline(made_up(np.ones((2, 1, 2)), texts=["<b>", " x"])))
    figure.write_image(path)
    content = path.read_bytes()
    assert content.startswith(starts)
    if kind == "svg":
        drawn = ElementTree.fromstring(content)
        assert drawn.get("width") == "315"
        assert {"<b>", "·x", "L0H1"} <= {text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")}
