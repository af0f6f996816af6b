"""A quick look at a model in training: the share of right answers for each kind of text, without generating."""

import torch
from einops import rearrange
from torch.nn import functional
from transformers import LlamaForCausalLM

from experiments.train_mini.config import TrainConfig
from experiments.train_mini.data import TWO_HOPS, Batch, RowMaker
from experiments.train_mini.passages import SHARES

_TOKENS = 4480


def probe(config: TrainConfig, model: LlamaForCausalLM, rows: RowMaker, step: int) -> dict[str, float]:
    """Share of right answers by kind and row length: every kind at a middle length of the stage, two hops at all that hold them."""
    lengths = sorted(set(config.stage(step).lengths))
    asked = [(kind, lengths[len(lengths) // 2]) for kind in SHARES]
    asked += [(TWO_HOPS, length) for length in lengths if 300 <= length <= 1200]
    asked += [("book", lengths[-1])] if len(lengths) > 1 else []
    found = {}
    for kind, length in asked:
        found[f"{kind} {length}"] = round(right_answers(model, rows.probe(kind, length, max(2, _TOKENS // length), seed=step)), 3)
    return found


@torch.no_grad()
def right_answers(model: LlamaForCausalLM, batch: Batch) -> float:
    """Share of answers of which every token is the likeliest one behind the true tokens before it; all heads are on."""
    config = model.config
    keep = torch.ones(config.num_hidden_layers, len(batch.tokens), config.num_attention_heads, dtype=torch.bool, device=model.device)
    tokens = batch.tokens.to(model.device)
    hidden = model.model(tokens[:, :-1], use_cache=False, head_keep=keep).last_hidden_state
    is_wrong = rearrange(model.lm_head(hidden).argmax(-1) != tokens[:, 1:], "row pos -> (row pos)").cpu()
    is_answer = batch.weights == 1.0
    is_start = is_answer & ~functional.pad(is_answer[:, :-1], (1, 0))
    answer = rearrange(is_start, "row pos -> (row pos)").cumsum(0)
    is_answer = rearrange(is_answer, "row pos -> (row pos)")
    n_answers = int(is_start.sum())
    wrong = torch.zeros(n_answers + 1).index_add_(0, answer[is_answer], is_wrong[is_answer].float())
    return float((wrong[1:] == 0).float().mean())
