"""The two statistics that QRHead publishes under one name: the gold documents' sum (LongMemEval), and nDCG@10 (Natural Questions)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechdyn.scores.prompt import prompt_score

CUT = 10
"""Ranks that count in nDCG."""


@prompt_score("qr", statistic="attention of the question to the gold documents (QRHead, LongMemEval)")
def qr(documents: Float[Tensor, "layer head document"], gold: Bool[Tensor, " document"]) -> Float[Tensor, "layer head"]:
    """Sum over the gold documents of what a head gives them: QRHead's detection on LongMemEval.

    Documents' scores are those of `document_scores`, cut for each head alone; QRHead's retriever sums heads first and cuts then, which
    is not the same. With the question "N/A" every score is 0.
    """
    return documents[..., gold].sum(dim=-1)


@prompt_score("qr-ndcg", statistic="nDCG@10 of the head's ranking of documents (QRHead, Natural Questions)")
def qr_ndcg(documents: Float[Tensor, "layer head document"], gold: Bool[Tensor, " document"]) -> Float[Tensor, "layer head"]:
    """nDCG@10 of the documents as a head ranks them, gold ones having gain 1: QRHead's detection on Natural Questions; in [0, 1].

    DCG is Σ gain / log2(rank + 1). Documents that a head gives the same stand in the prompt's order; a head that gives all of them the same
    ranks nothing and has 0, as with the question "N/A".
    """
    order = documents.argsort(dim=-1, descending=True, stable=True)[..., :CUT]
    discounts = 1 / torch.log2(torch.arange(2, CUT + 2, dtype=torch.float64))
    gained = (gold[order] * discounts[: order.shape[-1]]).sum(dim=-1)
    ideal = discounts[: min(int(gold.sum()), CUT)].sum()
    ranks = (documents != documents[..., :1]).any(dim=-1)
    return torch.where(ranks, gained / ideal, 0.0).to(documents.dtype)
