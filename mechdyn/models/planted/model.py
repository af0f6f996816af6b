"""The weights of the planted controls.

The residual stream is cut into named parts (`_PARTS`). A token's embedding is its ±1 vector (`now`), its group (one-hot) and a constant 1.
Every regular position has the same norm before each layer, so RMSNorm only divides by a known number, which the weights take back.

Layer 0: seven heads look exactly one position back, seven two back, two three back, and write the vectors found there to `back1`, `back2`
and `back3`. Query and key are constants: under RoPE the score is Σ w_j cos(ω_j (distance - offset)), with its peak at the offset.

Layer 1: the query's last three tokens meet, at position i, the three tokens before i. In units of one matching token, and with g for a head
that serves the group of the token at i, a key scores

    3 + g      three tokens match, served           copied, strongest key
    b          BOS, whose value is zero             where a head rests
    3          three tokens match, not served
    ≤ 2.25+g   at most two match                    1/4 is the largest cosine of two tokens' vectors

Ablating any four heads of layer 0 at the query position takes at most 4/7 from the first line; g and b leave equal distances even then. The
vector at i is written to `out`, which the unembedding compares with all tokens. The full stop is read as <|end|>, and <|end|> is also what
the model says when nothing was copied.

The step control has two layers between them. Head by head they look as many positions back as lie between the token that opens the
assistant's turn and the input of step 0, 1, 2 …; where that token's mark is found, the head's own place in `step` is set. There g is for a
head that serves this step, and the same for every key but BOS. Mark and step are so small that they leave the norm as it is.
"""

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from mechdyn.errors import UnsupportedModelError
from mechdyn.models.planted.codes import CODE_DIM, MAX_COSINE, N_CODES, token_codes
from mechdyn.models.planted.design import MAX_STEPS, N_GROUPS, N_HEADS, PlantedKind, n_layers, serving_heads, single_token, token_groups

MAX_POSITIONS = 8192
"""The longest prompt and answer the controls are right for."""
ANSWER_PREFIX = "The magic word is "
_TURN = "<|assistant|>"
"""The token that opens the assistant's turn."""
_TEMPLATE_END = "{% if add_generation_prompt %}{{ '" + ANSWER_PREFIX + "' }}{% endif %}"

_N_KV_HEADS = 2
_D_HEAD = 128
_PARTS = dict.fromkeys(("now", "back1", "back2", "back3", "out"), CODE_DIM) | {"group": N_GROUPS, "bos": 1, "one": 1, "rest": 1}
_CLOCK_PARTS = {"mark": 1, "step": MAX_STEPS, "idle": N_HEADS - 1}
"""What the step control's residual stream has besides; `idle` makes its width a multiple of the heads, as transformers wants it."""
_FAINT = 1 / 64
"""The size of a mark or a step: a change of 2e-6 in the squared norm."""
_NORM2_EMBEDDED = CODE_DIM + 2
"""Squared norm of a regular embedding: vector, group and constant."""
_NORM2_GATHERED = 4 * CODE_DIM + 2
"""The same behind layer 0, with three more vectors."""

_ROPE_THETA = 1e32
"""So large that all but the first nine frequencies hardly turn within `MAX_POSITIONS`: those serve to compare content."""
_N_TURNING = 9
_OFFSET_WEIGHTS = (4, 2, 1, 1, 1, 1, 1)
"""Weights of the turning frequencies: at any distance but the offset the score is at least 12 % below its peak."""
_OFFSET_SCALE = 200.0
"""The score at the peak, in nats."""
_OFFSETS = (1,) * 7 + (2,) * 7 + (3,) * 2
"""How far each head of layer 0 looks back. Offset 3 matters for keys only, so it needs fewer heads."""

_LOST = 4 / 7
"""What four ablated heads of layer 0 take from a match of three tokens."""
_GAP = (1 - MAX_COSINE - _LOST) / 2
"""The smallest distance of two lines of the table above, those four heads ablated."""
_BOS_SCORE = 3 + _GAP
_SERVED_BONUS = 1 - MAX_COSINE
_SHARPNESS = 150.0
"""Nats a matching token; a gap is 13 nats."""


def build_planted(kind: PlantedKind, tokenizer: Any) -> LlamaForCausalLM:
    """A planted control in fp32, in eval mode; the same kind and tokenizer give the same weights always.

    Args:
        kind: `static` (six heads copy every token), `nested` (the copied token decides how many of a fixed order do), `dynamic` (it
            decides which four do) or `step` (the step decides which four do).
        tokenizer: the bundled tokenizer, plain or `planted_tokenizer` of it.

    Raises:
        UnsupportedModelError: more than 2048 tokens, or the full stop or the hyphen is not one token.
    """
    if len(tokenizer) > N_CODES:
        raise UnsupportedModelError(
            f"the planted controls have vectors for {N_CODES} tokens, the tokenizer has {len(tokenizer)}; use the bundled tokenizer"
        )
    with torch.random.fork_rng(devices=[]):  # the random start is overwritten and must not move the caller's generator
        model = LlamaForCausalLM(_config(kind, tokenizer))
    model.generation_config = GenerationConfig(
        do_sample=False, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if "norm" in name else 0.0)
        _embed(model.model.embed_tokens.weight, model.lm_head.weight, tokenizer)
        first, *clock, last = (layer.self_attn for layer in model.model.layers)
        _gather(first)
        if kind == "step":
            model.model.embed_tokens.weight[single_token(tokenizer, _TURN), _part("mark")] = _FAINT
            _tell_steps(clock, len(tokenizer.encode(ANSWER_PREFIX, add_special_tokens=False)))
        _copy(last, kind)
    return model.float().eval()


def planted_tokenizer(tokenizer: Any) -> Any:
    """A copy of the bundled tokenizer whose chat template begins the assistant's turn with `The magic word is `.

    The answer then starts with the UUID itself, and the last three prompt tokens stand in the needle, right before the UUID.
    """
    if tokenizer.chat_template is None:
        raise UnsupportedModelError("the planted controls extend a chat template and the tokenizer has none; use the bundled tokenizer")
    controls = copy.deepcopy(tokenizer)
    if not controls.chat_template.endswith(_TEMPLATE_END):
        controls.chat_template += _TEMPLATE_END
    controls.model_max_length = MAX_POSITIONS
    return controls


def _config(kind: PlantedKind, tokenizer: Any) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=sum((_PARTS | (_CLOCK_PARTS if kind == "step" else {})).values()),
        intermediate_size=8,
        num_hidden_layers=n_layers(kind),
        num_attention_heads=N_HEADS,
        num_key_value_heads=_N_KV_HEADS,
        head_dim=_D_HEAD,
        max_position_embeddings=MAX_POSITIONS,
        rope_parameters={"rope_type": "default", "rope_theta": _ROPE_THETA},
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _part(name: str) -> slice:
    parts = _PARTS | _CLOCK_PARTS
    start = sum(parts[other] for other in list(parts)[: list(parts).index(name)])
    return slice(start, start + parts[name])


def _embed(embedding: Float[Tensor, "token model"], unembedding: Float[Tensor, "token model"], tokenizer: Any) -> None:
    """Tokens in and out: BOS carries no vector, `.` cannot be said and <|end|> is said in its place."""
    codes = token_codes(len(tokenizer))
    embedding[:, _part("now")] = codes
    embedding[:, _part("group")] = torch.nn.functional.one_hot(torch.tensor(token_groups(tokenizer)), N_GROUPS).float()
    embedding[:, _part("one")] = 1.0
    bos, end, stop = tokenizer.bos_token_id, tokenizer.eos_token_id, single_token(tokenizer, ".")
    embedding[bos] = 0.0
    embedding[bos, _part("bos")] = 1.0
    embedding[bos, _part("one")] = 1.0
    embedding[bos, _part("rest")] = math.sqrt(_NORM2_GATHERED - 2)
    unembedding[:, _part("out")] = codes
    unembedding[end, _part("out")] = codes[stop]
    unembedding[end, _part("one")] = CODE_DIM / 2  # half of what one copying head gives its token
    unembedding[stop] = 0.0


def _gather(attention: Any) -> None:
    """Layer 0: previous-token heads at offsets 1 to 3."""
    rms = math.sqrt(_NORM2_EMBEDDED / attention.q_proj.in_features)
    _look_back(attention, _OFFSETS, rms)
    _by_head(attention.v_proj.weight, _N_KV_HEADS)[:, :CODE_DIM, _part("now")] = torch.eye(CODE_DIM) * rms
    output = _by_head(attention.o_proj.weight.T, N_HEADS)
    for head, offset in enumerate(_OFFSETS):
        output[head, :CODE_DIM, _part(f"back{offset}")] = torch.eye(CODE_DIM) / _OFFSETS.count(offset)


def _tell_steps(layers: Sequence[Any], first_offset: int) -> None:
    """The layers between: a head for each step looks back to where the assistant's turn opened, if it is that step."""
    steps = iter(range(MAX_STEPS))
    for attention in layers:
        rms = math.sqrt(_NORM2_GATHERED / attention.q_proj.in_features)
        told = [next(steps) for _ in range(N_HEADS)]
        _look_back(attention, [first_offset + step for step in told], rms)
        _by_head(attention.v_proj.weight, _N_KV_HEADS)[:, 0, _part("mark").start] = rms
        output = _by_head(attention.o_proj.weight.T, N_HEADS)
        for head, step in enumerate(told):
            output[head, 0, _part("step").start + step] = 1.0


def _look_back(attention: Any, offsets: Sequence[int], rms: float) -> None:
    """Queries and keys by which each head looks as many positions back as its offset says."""
    one = _part("one").start
    frequencies = _ROPE_THETA ** (-torch.arange(len(_OFFSET_WEIGHTS), dtype=torch.float64) / (_D_HEAD // 2))
    weights = torch.tensor(_OFFSET_WEIGHTS, dtype=torch.float64)
    weights *= _OFFSET_SCALE * math.sqrt(_D_HEAD) / weights.sum()
    turning = slice(0, len(weights))
    turning_half = slice(_D_HEAD // 2, _D_HEAD // 2 + len(weights))
    query, key = _by_head(attention.q_proj.weight, N_HEADS), _by_head(attention.k_proj.weight, _N_KV_HEADS)
    key[:, turning, one] = rms
    for head, offset in enumerate(offsets):
        query[head, turning, one] = (weights * torch.cos(frequencies * offset)).float() * rms
        query[head, turning_half, one] = -(weights * torch.sin(frequencies * offset)).float() * rms


def _copy(attention: Any, kind: PlantedKind) -> None:
    """The last layer: heads that find the last three tokens again and copy what followed, each for the groups, or steps, it serves."""
    rms = math.sqrt(_NORM2_GATHERED / attention.q_proj.in_features)
    one = _part("one").start
    unit = _SHARPNESS * math.sqrt(_D_HEAD) * rms
    query = _by_head(attention.q_proj.weight, N_HEADS)
    key, value = _by_head(attention.k_proj.weight, _N_KV_HEADS), _by_head(attention.v_proj.weight, _N_KV_HEADS)
    still = _still_dims()
    for asked, found in (("now", "back1"), ("back1", "back2"), ("back2", "back3")):
        dims, still = still[:CODE_DIM], still[CODE_DIM:]
        query[:, dims, _part(asked)] = torch.eye(CODE_DIM) * unit / CODE_DIM
        key[:, dims, _part(found)] = torch.eye(CODE_DIM) * rms
    groups, bos = still[:N_GROUPS], still[N_GROUPS]
    if kind == "step":
        for step in range(MAX_STEPS):
            query[list(serving_heads(kind)[step % N_GROUPS]), groups[0], _part("step").start + step] = _SERVED_BONUS * unit / _FAINT
        key[:, groups[0], _part("group")] = rms
    else:
        for group, heads in zip(groups, serving_heads(kind), strict=True):
            query[list(heads), group, one] = _SERVED_BONUS * unit
        key[:, groups, _part("group")] = torch.eye(N_GROUPS) * rms
    query[:, bos, one] = _BOS_SCORE * unit
    key[:, bos, _part("bos").start] = rms
    value[:, :CODE_DIM, _part("now")] = torch.eye(CODE_DIM) * rms
    output = _by_head(attention.o_proj.weight.T, N_HEADS)
    output[:, :CODE_DIM, _part("out")] = torch.eye(CODE_DIM)


def _by_head(weight: Float[Tensor, "row model"], n_heads: int) -> Float[Tensor, "head dim model"]:
    """A view of a projection, head by head, to write into."""
    return weight.unflatten(0, (n_heads, _D_HEAD))


def _still_dims() -> list[int]:
    """A head's dimensions that RoPE leaves alone, fastest first: Hugging Face turns dimension j together with j + d_head / 2."""
    half = _D_HEAD // 2
    return [dim for pair in range(_N_TURNING, half) for dim in (pair, pair + half)]
