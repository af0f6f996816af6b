"""The training loop: single-threaded workers that average gradients, Muon for matrices, AdamW for the rest.

Every batch depends on (seed, step, worker) alone and checkpoints hold the optimizers, so a run that was stopped goes on as if it had not
been.
"""

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from experiments.train_mini.config import TrainConfig
from experiments.train_mini.data import RowMaker
from experiments.train_mini.probe import probe

_ATTENTION = "sdpa_with_head_dropout"


def build_model(config: TrainConfig, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A fresh Llama with grouped-query attention."""
    torch.manual_seed(config.seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.d_model,
            intermediate_size=config.d_mlp,
            num_hidden_layers=config.n_layers,
            num_attention_heads=config.n_heads,
            num_key_value_heads=config.n_kv_heads,
            head_dim=config.d_head,
            max_position_embeddings=config.n_ctx,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
            tie_word_embeddings=True,
            rms_norm_eps=1e-5,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def train_worker(rank: int, config: TrainConfig, tokenizer: PreTrainedTokenizerFast) -> None:
    """One worker of the run; worker 0 shows progress, logs and saves."""
    torch.set_num_threads(1)
    _join(rank, config)
    ALL_ATTENTION_FUNCTIONS.register(_ATTENTION, _attention_with_head_dropout)
    ALL_MASK_ATTENTION_FUNCTIONS.register(_ATTENTION, lambda *_, **__: None)
    model = build_model(config, tokenizer).to(config.device)
    optimizers = _optimizers(config, model)
    start = _resume(config, model, optimizers)
    model.set_attn_implementation(_ATTENTION)
    loss_function = torch.compile(_weighted_loss, dynamic=False) if config.compile else _weighted_loss
    rows = RowMaker(config, tokenizer)
    started = time.monotonic()
    bar = tqdm(range(start, config.steps), initial=start, total=config.steps, disable=rank > 0 or None, unit="step")
    for step in bar:
        batch = rows.batch(step, rank)
        keep = _head_keep(config, step, rank, batch.tokens.shape[0])
        loss = loss_function(model, batch.tokens.to(config.device), batch.weights.to(config.device), keep.to(config.device))
        loss.backward()
        _average_gradients(config, model)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * config.learning_rate_factor(step)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        done = step + 1
        if rank == 0 and (done % 20 == 0 or done == config.steps):
            seconds = round(time.monotonic() - started, 1)
            n_rows, length = batch.weights.shape
            _log(config, {"step": step, "loss": round(loss.item(), 4), "rows": n_rows, "length": length, "seconds": seconds})
        if rank == 0 and done % config.probe_every == 0:
            _log(config, {"step": step, "right": probe(config, model, rows, step)})
        if rank == 0 and (done % config.checkpoint_every == 0 or done == config.steps):
            _save(config, model, optimizers, done)
        if rank == 0 and done in [each.end for each in config.rounds]:
            torch.save(model.state_dict(), end_of_round(config, done))
    if config.workers > 1:
        dist.destroy_process_group()


def _weighted_loss(
    model: LlamaForCausalLM, tokens: Tensor, weights: Float[Tensor, "row pos"], head_keep: Bool[Tensor, "layer row head"]
) -> Float[Tensor, ""]:
    hidden = model.model(tokens[:, :-1], use_cache=False, head_keep=head_keep).last_hidden_state
    losses = functional.cross_entropy(model.lm_head(hidden).flatten(0, 1).float(), tokens[:, 1:].flatten(), reduction="none")
    return (losses * weights.flatten()).sum() / weights.sum()


def _attention_with_head_dropout(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: None, head_keep: Tensor, **_: Any
) -> tuple[Tensor, None]:
    """Causal attention whose dropped heads (of a row and layer) write nothing; nothing is rescaled."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    z = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    layer: Any = module.layer_idx
    z = z * head_keep[layer][:, :, None, None]
    return z.transpose(1, 2).contiguous(), None


def _head_keep(config: TrainConfig, step: int, rank: int, n_rows: int) -> Bool[Tensor, "layer row head"]:
    """Heads to keep: from `head_dropout_from` on each row drops heads at a rate of its own, uniform up to the stage's."""
    generator = torch.Generator().manual_seed(_seed(config, step, rank))
    rate = torch.rand(n_rows, generator=generator) * (config.stage(step).head_dropout_max if step >= config.head_dropout_from else 0.0)
    draws = torch.rand(config.n_layers, n_rows, config.n_heads, generator=generator)
    return draws >= rate[None, :, None]


def _seed(config: TrainConfig, step: int, rank: int) -> int:
    return random.Random(f"heads-{config.seed}-{step}-{rank}").getrandbits(63)


def _optimizers(config: TrainConfig, model: LlamaForCausalLM) -> list[torch.optim.Optimizer]:
    matrices = [p for p in model.model.layers.parameters() if p.ndim == 2]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "layers" not in name]
    muon = torch.optim.Muon(matrices, lr=config.muon_lr, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW(others, lr=config.adamw_lr, betas=(0.9, 0.95), weight_decay=0.0)
    for optimizer in (muon, adamw):
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return [muon, adamw]


def _join(rank: int, config: TrainConfig) -> None:
    if config.workers > 1:
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        os.environ.setdefault("MASTER_PORT", "29517")
        dist.init_process_group("gloo", rank=rank, world_size=config.workers)


def _average_gradients(config: TrainConfig, model: LlamaForCausalLM) -> None:
    if config.workers == 1:
        return
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= config.workers
    for gradient, piece in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(piece.view_as(gradient))


def end_of_round(config: TrainConfig, step: int) -> Path:
    """Where the weights at the end of a round are kept."""
    return config.out / f"round-{step}.pt"


def _checkpoint(config: TrainConfig) -> Path:
    return config.out / "checkpoint.pt"


def _save(config: TrainConfig, model: LlamaForCausalLM, optimizers: list[torch.optim.Optimizer], done: int) -> None:
    state = {"step": done, "model": model.state_dict(), "optimizers": [optimizer.state_dict() for optimizer in optimizers]}
    partial = _checkpoint(config).with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(_checkpoint(config))


def _resume(config: TrainConfig, model: LlamaForCausalLM, optimizers: list[torch.optim.Optimizer]) -> int:
    if not _checkpoint(config).exists():
        return 0
    state = torch.load(_checkpoint(config), map_location=config.device, weights_only=True)
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return int(state["step"])


def _log(config: TrainConfig, row: dict[str, Any]) -> None:
    with (config.out / "log.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
