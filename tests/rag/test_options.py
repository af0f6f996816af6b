import pytest

from mechdyn.errors import InputError
from mechdyn.rag.options import RagOptions


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": 0}, "k must be at least 1, got 0"),
        ({"window": -1}, "window must be at least 0, got -1"),
        ({"join": 0}, "join must be at least 1, got 0"),
        ({"threshold": -0.1}, "threshold must be 0 or more"),
        ({"threshold": float("nan")}, "threshold must be 0 or more"),
        ({"threshold": float("inf")}, "threshold must be a finite number, got inf; .* take the strategy no-context"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1"),
        ({"max_sentences": 0}, "max_sentences must be at least 1"),
        ({"variant": "none"}, "variant must be one of code, paper, got 'none'"),
        ({"attention": "some"}, "attention must be one of alone, full"),
        ({"draft": "seen"}, "draft must be one of hidden, windows"),
        ({"mode": "cut"}, "mode must be one of mask, text, got 'cut'"),
    ],
)
def test_what_means_nothing_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        RagOptions(**changes)
