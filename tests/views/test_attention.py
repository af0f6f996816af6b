import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.traces.trace import Sources, Trace
from mechdyn.views import attention
from mechdyn.views.attention import sources
from tests.views.made_up import made_up

WORDS = tuple(f" w{token}" for token in range(100, 140))


def with_patterns(seed: int = 0, n_steps: int = 3) -> Trace:
    """Random rows over 40 prompt tokens and the generated ones, zero behind each step's last key."""
    rng = np.random.default_rng(seed)
    patterns = np.zeros((n_steps, 2, 2, 40 + n_steps - 1), dtype=np.float32)
    for step in range(n_steps):
        patterns[step, ..., : 40 + step] = rng.dirichlet(np.ones(40 + step), size=(2, 2))
    return made_up(np.zeros((n_steps, 2, 2)), patterns=torch.as_tensor(patterns), prompt_texts=WORDS)


def test_the_bars_are_the_largest_weights_in_order() -> None:
    trace = with_patterns()
    assert trace.patterns is not None
    row = trace.patterns[1, 0, 1].numpy()
    bars = attention(trace, 1, (0, 1), top_k=5).data[2]
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


def with_sources(trace: Trace, k: int) -> Trace:
    """The same trace with its `k` strongest sources in place of the rows."""
    assert trace.patterns is not None
    order = torch.argsort(trace.patterns, dim=-1, descending=True, stable=True)[..., :k]
    return replace(trace, patterns=None, sources=Sources(order.int(), trace.patterns.gather(-1, order).half()))


def test_sources_alone_show_what_the_rows_show() -> None:
    trace = with_patterns()
    whole, kept = (attention(each, 1, (0, 1), top_k=5).data for each in (trace, with_sources(trace, 5)))
    assert [entry[0] for entry in kept[2].customdata] == [entry[0] for entry in whole[2].customdata]
    np.testing.assert_allclose(kept[2].x, whole[2].x, atol=1e-3)
    assert list(kept[3].text) == list(whole[3].text)
    assert np.isfinite(kept[0].y).sum() == 5
    assert len(attention(with_sources(trace, 3), 1, (0, 1), top_k=5).data[2].x) == 3


def test_ranks_that_a_short_row_lacks_are_no_sources() -> None:
    sources = Sources(torch.tensor([[[[4, 2, -1, -1]]]], dtype=torch.int32), torch.tensor([[[[0.75, 0.25, 0, 0]]]]).half())
    bars = attention(made_up(np.zeros((1, 1, 1)), sources=sources), 0, (0, 0)).data[2]
    assert [entry[0] for entry in bars.customdata] == [4, 2]


def test_sources_hold_the_text_around_them() -> None:
    weights = np.zeros(42, dtype=np.float32)
    weights[[20, 41, 12]] = [0.5, 0.3, 0.2]
    found = sources(with_patterns(), weights, 3)
    assert [source.position for source in found] == [20, 41, 12]
    assert [source.needle for source in found] == [False, False, True]
    assert found[0].token == " w120"
    assert found[0].before.endswith(" w118 w119") and found[0].after.startswith(" w121 w122")
    assert found[1].token == "t1" and found[1].after == "" and found[1].before.endswith(" w139t0")


def test_without_texts_prompt_tokens_show_their_ids() -> None:
    weights = np.zeros(42, dtype=np.float32)
    weights[[3, 41]] = [0.5, 0.4]
    assert [source.token for source in sources(made_up(np.zeros((3, 2, 2))), weights, 2)] == [" token id 103", "t1"]


def test_text_is_escaped() -> None:
    trace = replace(with_patterns(), prompt_texts=("<i>$",) * 40)
    for text in attention(trace, 0, (0, 0), top_k=3).data[3].text:
        assert "<i>" not in text and "$" not in text and "&lt;i&gt;" in text


def test_a_context_of_100_000_tokens_is_drawn_fast_and_small() -> None:
    n_keys = 100_000
    weights = torch.rand(1, 1, 1, n_keys, generator=torch.Generator().manual_seed(0)) / n_keys
    weights[..., 77_777] = 0.5
    trace = made_up(np.ones((1, 1, 1)), prompt_tokens=torch.arange(n_keys), patterns=weights)
    start = time.process_time()
    figure = attention(trace, 0, (0, 0))
    assert time.process_time() - start < 1
    assert len(figure.to_json()) < 500_000
    assert figure.data[2].customdata[0][0] == 77_777
    assert np.nanmax(figure.data[0].y) == 0.5


def test_short_contexts_show_all_their_positions() -> None:
    assert len(attention(with_patterns(), 0, (0, 0), top_k=500).data[2].x) == 40


def test_bad_arguments_are_refused() -> None:
    trace = with_patterns()
    with pytest.raises(InputError, match="sources and they were not kept; trace again, or give a stored trace its sources with replay"):
        attention(made_up(np.zeros((1, 1, 1))), 0, (0, 0))
    with pytest.raises(InputError, match=r"step must lie in \[0, 2\]"):
        attention(trace, 3, (0, 0))
    with pytest.raises(InputError, match="head L5H0 is outside"):
        attention(trace, 0, (5, 0))
    with pytest.raises(InputError, match="top_k must be at least 1, got 0"):
        attention(trace, 0, (0, 0), top_k=0)
