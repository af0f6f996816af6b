"""What the page's data hold, read back by the same layout."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from experiments.gallery.examples import Made, made_effect, made_trace
from mechdyn.errors import InputError
from mechdyn.traces.trace import Sources, Trace
from mechdyn.views.explorer.pack import NONE_16, SOURCE_BYTES, pack, unpack
from tests.views.made_up import made_up, random_scores


def with_sources(seed: int = 0, n_prompt: int = 40, k: int = 5, steps: int = 6, layers: int = 2, heads: int = 3, **fields) -> Trace:
    rng = np.random.default_rng(seed)
    positions = torch.as_tensor(rng.integers(0, n_prompt, (steps, layers, heads, k)), dtype=torch.int32)
    weights = torch.as_tensor(-np.sort(-rng.dirichlet(np.ones(k), (steps, layers, heads))), dtype=torch.float16)
    texts = tuple(f" w{index}" for index in range(n_prompt))
    known = {"prompt_tokens": torch.arange(n_prompt), "prompt_texts": texts, "sources": Sources(positions, weights)}
    return made_up(fields.pop("scores", random_scores(seed, steps, layers, heads)), **(known | fields))


@pytest.mark.parametrize("n_prompt", [40, 70_000])
def test_everything_is_there_again(n_prompt: int) -> None:
    clean = with_sources(n_prompt=n_prompt, prompt_texts=(" w",) * n_prompt)
    ablated = with_sources(1, n_prompt=n_prompt, steps=4, ablated=torch.rand(4, 2, 3) < 0.5)
    header, arrays = unpack(pack({"clean": clean, "dynamic": ablated}))
    for index, trace in enumerate((clean, ablated)):
        facts = header["conditions"][index]
        assert (facts["steps"], facts["ranks"], facts["ablated"]) == (trace.n_steps, 5, trace.ablated is not None)
        np.testing.assert_array_equal(arrays[f"{index}.scores"], trace.retrieval_scores.flatten())
        np.testing.assert_array_equal(arrays[f"{index}.ids"], trace.tokens)
        assert trace.sources is not None
        np.testing.assert_array_equal(arrays[f"{index}.positions"], trace.sources.positions.flatten())
        np.testing.assert_allclose(arrays[f"{index}.weights"] / 65535, trace.sources.weights.flatten().float(), atol=1e-5)
    np.testing.assert_array_equal(arrays["1.ablated"], ablated.ablated.flatten())
    assert "0.ablated" not in arrays
    np.testing.assert_array_equal(arrays["prompt.ids"], clean.prompt_tokens)
    assert (header["layers"], header["heads"], header["needle"]) == (2, 3, [[10, 14]])
    assert header["prompt"] == [" w"] * n_prompt


def test_effects_are_there_by_set_and_step_the_mean_of_draws() -> None:
    effect = made_effect(Made())
    header, arrays = unpack(pack({"clean": replace(made_trace(Made()), effect=effect), "dynamic": made_trace(Made(), True)}))
    delta = (effect.clean - effect.off[..., 0]).masked_fill(effect.n_off == 0, np.nan)
    expected = np.stack([delta[0], delta[1:3].mean(dim=0), delta[3]])
    np.testing.assert_allclose(arrays["0.effects"].reshape(3, -1), expected, rtol=1e-6)
    assert header["conditions"][0]["effects"] == ["retrieving", "others of made up", "static"]
    assert header["conditions"][1]["effects"] == [] and "1.effects" not in arrays


def test_orders_are_those_of_the_timeline() -> None:
    scores = np.zeros((4, 1, 3))
    scores[:, 0, 1], scores[:2, 0, 2] = 1, 1
    header, arrays = unpack(pack({"clean": made_up(scores)}))
    assert (header["conditions"][0]["steady"], arrays["0.varying"].tolist()) == (1, [1, 2, 0])
    assert arrays["0.top"].tolist() == [1, 2, 0]


def test_ranks_that_a_row_lacks_are_marked() -> None:
    sources = Sources(torch.tensor([[[[3, -1]]]], dtype=torch.int32), torch.tensor([[[[1.0, 0.0]]]]).half())
    _, arrays = unpack(pack({"clean": made_up(np.ones((1, 1, 1)), sources=sources)}))
    assert arrays["0.positions"].tolist() == [3, NONE_16]


def test_many_conditions_share_the_room_for_sources() -> None:
    one = with_sources(steps=30, layers=32, heads=32, k=16)
    traces = {str(index): one for index in range(8)}
    header, arrays = unpack(pack(traces))
    taken = sum(array.nbytes for name, array in arrays.items() if name.endswith(("positions", "weights")))
    assert SOURCE_BYTES / 2 < taken <= SOURCE_BYTES
    assert {facts["ranks"] for facts in header["conditions"]} == {5}


def test_texts_are_visible_and_halves_of_characters_are_no_obstacle() -> None:
    texts = ["a\nb", "\u202e", "\ud83d"]
    header, _ = unpack(pack({"clean": made_up(np.zeros((3, 1, 1)), texts=texts, prompt_texts=("\t",) * 40, question="\ud83d")}))
    assert header["conditions"][0]["tokens"] == ["a⏎\nb", "<U+202E>", "\ufffd"]
    assert header["conditions"][0]["labels"] == ["a⏎b", "<U+202E>", "\ufffd"]
    assert header["prompt"] == ["⇥"] * 40


def test_without_texts_the_prompt_shows_its_ids() -> None:
    header, _ = unpack(pack({"clean": made_up(random_scores(0))}))
    assert header["texts"] is False and header["prompt"][:2] == ["[100]", "[101]"]


def test_what_cannot_be_shown_is_refused() -> None:
    trace = with_sources()
    with pytest.raises(InputError, match="needs at least one trace, got none"):
        pack({})
    with pytest.raises(InputError, match=r"'empty' has none \(it stopped at eos\)"):
        pack({"clean": trace, "empty": made_up(np.zeros((0, 2, 3)), texts=())})
    with pytest.raises(InputError, match="'other' has another"):
        pack({"clean": trace, "other": replace(trace, prompt_tokens=trace.prompt_tokens + 1)})
