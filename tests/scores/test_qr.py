"""QRHead's two statistics against loops over documents, and against scikit-learn's nDCG."""

import statistics

import numpy as np
import pytest
import torch
from sklearn.metrics import ndcg_score

from mechdyn.errors import InputError
from mechdyn.scores.prompt import document_scores, get_prompt_score
from mechdyn.scores.qr import qr, qr_ndcg

PLACES = [(0, 7), (7, 8), (9, 30), (30, 33), (40, 60)]


def drawn(seed):
    """c of 2 layers x 3 heads over 60 tokens, with outliers on both sides."""
    generator = torch.Generator().manual_seed(seed)
    c = torch.randn(2, 3, 60, generator=generator).double()
    return c + 8 * (torch.rand(c.shape, generator=generator) < 0.04) - 8 * (torch.rand(c.shape, generator=generator) < 0.04)


@pytest.mark.parametrize("seed", range(10))
def test_a_documents_sum_leaves_low_outliers_out_and_one_token_gives_0(seed):
    c = drawn(seed)
    found = document_scores(c, PLACES)
    n_cut = 0
    for layer in range(2):
        for head in range(3):
            for index, (start, end) in enumerate(PLACES):
                tokens = c[layer, head, start:end].tolist()
                least = statistics.mean(tokens) - 2 * statistics.stdev(tokens) if len(tokens) > 1 else float("nan")
                kept = [token for token in tokens if token > least]
                n_cut += len(tokens) - len(kept) - (len(tokens) == 1)
                assert float(found[layer, head, index]) == pytest.approx(sum(kept))
    assert n_cut > 0


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("n_documents", [2, 9, 10, 25])
def test_ndcg_is_that_of_scikit_learn(seed, n_documents):
    rng = np.random.default_rng(seed)
    documents = rng.normal(size=(2, 3, n_documents))
    gold = np.arange(n_documents) < rng.integers(1, n_documents)
    rng.shuffle(gold)
    found = qr_ndcg(torch.tensor(documents), torch.tensor(gold))
    wanted = [[ndcg_score([gold.astype(float)], [row], k=10) for row in rows] for rows in documents]
    np.testing.assert_allclose(found.numpy(), wanted)


def test_the_gold_documents_sum():
    documents, gold = torch.tensor([[[1.0, 2.0, -3.0]]]), torch.tensor([True, False, True])
    assert qr(documents, gold).tolist() == [[-2.0]]


def test_a_head_that_tells_no_document_from_another_has_0():
    documents, gold = torch.zeros(2, 3, 4), torch.tensor([True, False, False, False])
    assert not qr(documents, gold).any()
    assert not qr_ndcg(documents, gold).any()


def test_what_is_no_document_is_one_line():
    for places, wrong in (([], "none"), ([(3, 3)], r"\(3, 3\)")):
        with pytest.raises(InputError, match=rf"documents are given as positions \[start, end\) of at least one token each, got {wrong}"):
            document_scores(drawn(0), places)


def test_the_statistics_have_names_of_their_own():
    assert {name: get_prompt_score(name).score for name in ("qr", "qr-ndcg")} == {"qr": qr, "qr-ndcg": qr_ndcg}
    assert "LongMemEval" in get_prompt_score("qr").statistic and "nDCG@10" in get_prompt_score("qr-ndcg").statistic
