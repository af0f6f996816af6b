import time

import numpy as np
import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.traces.trace import Trace
from mechdyn.views import attention
from mechdyn.views.attention import sources
from tests.views.made_up import made_up

WORDS = {token: f" w{token}" for token in range(100, 140)}


def decode(ids: list[int]) -> str:
    return "".join(WORDS.get(token, f" g{token}") for token in ids)


def stripping(ids: list[int]) -> str:
    """As SentencePiece: no space at the start of a text."""
    return decode(ids).lstrip()


def with_patterns(seed: int = 0, n_steps: int = 3) -> Trace:
    """Random rows over 40 prompt tokens and the generated ones, zero behind each step's last key."""
    rng = np.random.default_rng(seed)
    patterns = np.zeros((n_steps, 2, 2, 40 + n_steps - 1), dtype=np.float32)
    for step in range(n_steps):
        patterns[step, ..., : 40 + step] = rng.dirichlet(np.ones(40 + step), size=(2, 2))
    return made_up(np.zeros((n_steps, 2, 2)), patterns=torch.as_tensor(patterns))


def test_the_bars_are_the_largest_weights_in_order() -> None:
    trace = with_patterns()
    assert trace.patterns is not None
    row = trace.patterns[1, 0, 1].numpy()
    bars = attention(trace, 1, (0, 1), top_k=5, decode=decode).data[2]
    wanted = sorted(range(41), key=lambda position: (-row[position], position))[:5]
    assert [entry[0] for entry in bars.customdata] == wanted
    np.testing.assert_allclose(bars.x, row[wanted])


def test_the_overview_keeps_every_peak_and_marks_the_needle() -> None:
    trace = with_patterns()
    assert trace.patterns is not None
    overview, needle = attention(trace, 0, (1, 1)).data[:2]
    np.testing.assert_allclose(overview.y, trace.patterns[0, 1, 1, :40].numpy())
    assert list(needle.x) == [12]
    assert list(needle.customdata) == ["10 to 14"]


@pytest.mark.parametrize("decoder", [decode, stripping])
def test_sources_hold_the_text_around_them(decoder) -> None:
    weights = np.zeros(42, dtype=np.float32)
    weights[[20, 41, 12]] = [0.5, 0.3, 0.2]
    found = sources(with_patterns(), weights, 3, decoder)
    assert [source.position for source in found] == [20, 41, 12]
    assert [source.needle for source in found] == [False, False, True]
    assert found[0].token == " w120"
    assert found[0].before.endswith(" w118 w119") and found[0].after.startswith(" w121 w122")
    assert found[1].token == " g1" and found[1].after == ""


def test_without_a_decoder_prompt_tokens_show_their_ids() -> None:
    weights = np.zeros(42, dtype=np.float32)
    weights[[3, 41]] = [0.5, 0.4]
    assert [source.token for source in sources(with_patterns(), weights, 2, None)] == ["token id 103", "t1"]


def test_text_is_escaped() -> None:
    figure = attention(with_patterns(), 0, (0, 0), top_k=3, decode=lambda ids: "".join(f"<i>{token}</i>$" for token in ids))
    for text in figure.data[3].text:
        assert "<i>" not in text and "$" not in text and "&lt;i&gt;" in text


def test_a_context_of_100_000_tokens_is_drawn_fast_and_small() -> None:
    n_keys = 100_000
    weights = torch.rand(1, 1, 1, n_keys, generator=torch.Generator().manual_seed(0)) / n_keys
    weights[..., 77_777] = 0.5
    trace = made_up(np.ones((1, 1, 1)), prompt_tokens=torch.arange(n_keys), patterns=weights)
    start = time.process_time()
    figure = attention(trace, 0, (0, 0), decode=lambda ids: " ".join(map(str, ids)))
    assert time.process_time() - start < 1
    assert len(figure.to_json()) < 500_000
    assert figure.data[2].customdata[0][0] == 77_777
    assert np.nanmax(figure.data[0].y) == 0.5


def test_short_contexts_show_all_their_positions() -> None:
    assert len(attention(with_patterns(), 0, (0, 0), top_k=500).data[2].x) == 40


def test_bad_arguments_are_refused() -> None:
    trace = with_patterns()
    with pytest.raises(InputError, match="patterns and they were not kept; trace again with keep_patterns=True"):
        attention(made_up(np.zeros((1, 1, 1))), 0, (0, 0))
    with pytest.raises(InputError, match=r"step must lie in \[0, 2\]"):
        attention(trace, 3, (0, 0))
    with pytest.raises(InputError, match="head L5H0 is outside"):
        attention(trace, 0, (5, 0))
    with pytest.raises(InputError, match="top_k must be at least 1, got 0"):
        attention(trace, 0, (0, 0), top_k=0)
