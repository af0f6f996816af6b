"""Whether a model runs here as plain Hugging Face code runs it: all that a trace rests on, held against something independent."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from mechdyn.decoding.bridge_engine import BridgeEngine
from mechdyn.decoding.engine import DecodeState, Engine, HeadEdit, StepOutput
from mechdyn.decoding.engines import make_engine
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.plain import PlainModel, PlainOutput, output_projections, plain_copy
from mechdyn.decoding.trace import trace
from mechdyn.errors import InputError
from mechdyn.models.checkpoint import DeviceMap, read_config
from mechdyn.models.context import beyond_original_context
from mechdyn.models.load import load_checkpoint, wrap_model
from mechdyn.models.model import Model
from mechdyn.models.products import products_of
from mechdyn.models.quirks import Quirk, quirks_of
from mechdyn.models.registry import CONTROLS
from mechdyn.models.threads import parse_threads, use_threads
from mechdyn.tasks.chat import render
from mechdyn.tasks.sample import Sample

LIMITS = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""The largest difference that passes: of logits and hidden states as a part of the largest value, of attention weights as it is."""
NEW_TOKENS = 12
_CHUNK = 7
_NARROW = 16
"""What sliding windows are narrowed to for their own check."""
_SINK = 1e-2
"""An attention row that lacks more than this has a sink beside it."""


@dataclass(frozen=True)
class Check:
    """One comparison. `passed` is None where it does not apply; `value` is the largest difference found, where one was measured."""

    name: str
    passed: bool | None
    what: str
    value: float | None = None
    limit: float | None = None


@dataclass(frozen=True, eq=False)
class Subject:
    """A model under test, plain Hugging Face code over the same weights, prompts of random tokens and what to feed after them."""

    model: Model
    plain: PlainModel
    prompts: tuple[Int[Tensor, " _"], ...]
    fed: Int[Tensor, "row step"]

    def expected(self, row: int, off: Tensor | None = None, steps: int = 1) -> PlainOutput:
        """Plain Hugging Face on a prompt and its first fed tokens."""
        return self.plain.forward(torch.cat([self.prompts[row], self.fed[row, :steps]]), off)

    def check(self, name: str, what: str, differences: Iterable[Tensor]) -> Check:
        """The largest difference against the limit of the model's dtype; one that is not a number fails."""
        value = float(torch.stack([difference.float().cpu().max() for difference in differences]).max())
        limit = LIMITS.get(self.model.dtype, LIMITS[torch.bfloat16])
        return Check(name, value <= limit, what, value, limit)


def relative(found: Tensor, expected: Tensor) -> Tensor:
    """Differences as a part of the largest value expected."""
    expected = expected.float().cpu()
    return (found.float().cpu() - expected).abs() / expected.abs().max()


def against_plain(subject: Subject) -> list[Check]:
    """One step behind a padded batch, prefilled through sdpa, against whole eager forwards of each row."""
    output, state = _first_step(BridgeEngine(subject.model), subject)
    plain = [subject.expected(row) for row in range(len(subject.prompts))]
    patterns = [_visible(output, state, row) for row in range(len(plain))]
    rows = list(enumerate(plain))
    sums = [one.patterns.sum(dim=-1) for one in plain]
    has_sinks = any(bool((row < 1 - _SINK).any()) for row in sums)
    wanted = sums if has_sinks else [torch.ones(())] * len(plain)
    share = "every attention row sums to 1" + (" less the share of its sink, which is eager code's" if has_sinks else "")
    return [
        subject.check("logits", "against plain eager forwards", (relative(output.logits[r], one.logits) for r, one in rows)),
        subject.check("hidden", "last hidden state, against the same", (relative(output.hidden[r], one.hidden) for r, one in rows)),
        subject.check("patterns", "attention rows, against eager attentions", ((patterns[r] - one.patterns).abs() for r, one in rows)),
        subject.check("row sums", share, ((patterns[r].sum(dim=-1) - wanted[r]).abs() for r, _ in rows)),
    ]


def ablation(subject: Subject) -> list[Check]:
    """Half of the heads switched off, against the slices of the output projection's input set to zero in plain code."""
    off = _half_of_the_heads(subject)
    output, _ = _first_step(BridgeEngine(subject.model), subject, HeadEdit(off))
    differences = [relative(output.logits[row], subject.expected(row, off[row]).logits) for row in range(len(off))]
    return [subject.check("ablation", "half of the heads, against a zeroed input of the output projection", differences)]


def consistency(subject: Subject) -> list[Check]:
    """Chunks, padding and single steps change nothing."""
    model, engine = subject.model, BridgeEngine(subject.model)
    batch, _ = _first_step(engine, subject)
    chunked, _ = _first_step(BridgeEngine(model, chunk=_CHUNK), subject)
    alone = [engine.step(engine.prefill([prompt]), subject.fed[row, :1])[0] for row, prompt in enumerate(subject.prompts)]
    state, stepped = engine.prefill(subject.prompts), batch
    for step in range(subject.fed.shape[1]):
        stepped, state = engine.step(state, subject.fed[:, step])
    whole = [subject.expected(row, steps=subject.fed.shape[1]).logits for row in range(len(subject.prompts))]
    n_rows = range(len(subject.prompts))
    return [
        subject.check("chunks", f"prefill in chunks of {_CHUNK}, against one go", [relative(chunked.logits, batch.logits)]),
        subject.check("padding", "rows of a batch, against alone", (relative(batch.logits[r], alone[r].logits[0]) for r in n_rows)),
        subject.check("steps", "token by token, against a whole plain forward", (relative(stepped.logits[r], whole[r]) for r in n_rows)),
    ]


def fast_engine(subject: Subject) -> list[Check]:
    """The fast engine's rows, logits and logits with heads at zero and averaging, against the bridge's."""
    fast = make_engine(subject.model)
    if not isinstance(fast, FastEngine):
        return [Check("fast engine", None, "this architecture's attention cannot be captured; steps run on the bridge")]
    off = _half_of_the_heads(subject)
    differences: list[Tensor] = []
    for asked in (None, HeadEdit(off), HeadEdit(off, averaged=torch.ones(len(off), dtype=torch.bool))):
        (found, _), (wanted, _) = _first_step(fast, subject, asked), _first_step(BridgeEngine(subject.model), subject, asked)
        differences += [relative(found.logits, wanted.logits), relative(found.hidden, wanted.hidden)]
        differences += [(one - two).abs() for one, two in zip(found.patterns, wanted.patterns, strict=True)]
    return [subject.check("fast engine", "rows, logits and ablated logits, against the bridge", differences)]


def sliding_window(subject: Subject) -> list[Check]:
    """Several steps behind prompts longer than the window, where layers have one.

    It is narrowed here and in plain code, so that short prompts will do.
    """
    windows = subject.model.windows
    if not any(windows):
        return []
    narrow = min(_NARROW, *(window for window in windows if window))
    model = replace(subject.model, windows=tuple(window and narrow for window in windows))
    narrowed = replace(subject, model=model, plain=subject.plain.with_window(narrow))
    n_steps, differences = subject.fed.shape[1], []
    whole = [narrowed.expected(row, steps=n_steps) for row in range(len(subject.prompts))]
    for engine in (BridgeEngine(model, chunk=_CHUNK), make_engine(model)):
        state = engine.prefill(subject.prompts)
        for step in range(n_steps):
            output, state = engine.step(state, subject.fed[:, step])
        for row, one in enumerate(whole):
            found = _visible(output, state, row)
            kept_forgotten = torch.where((one.patterns == 0) & (found != 0), torch.inf, 0.0)
            differences += [relative(output.logits[row], one.logits), (found - one.patterns).abs(), kept_forgotten]
    what = f"windows of {narrow}: steps against plain eager forwards, what is forgotten has weight 0"
    return [subject.check("window", what, differences)]


@torch.inference_mode()
def rotary_table(subject: Subject) -> list[Check]:
    """What stands at the model's last position changes nothing before it: longrope would take its other table (it is pinned)."""
    model = subject.model
    tokens = torch.cat([subject.prompts[0][:8], subject.fed[0, :1]])[None].to(model.device)
    near = torch.arange(tokens.shape[1], device=model.device)[None]
    far = near.clone()
    far[0, -1] = model.n_ctx - 1
    visible = torch.ones_like(tokens)
    logits = [model.twin(tokens, attention_mask=visible, position_ids=ids).logits[0, :-1] for ids in (near, far)]
    what = f"a token at position {model.n_ctx - 1} changes nothing before it"
    return [subject.check("positions", what, [relative(logits[1], logits[0])])]


def generated_text(subject: Subject) -> list[Check]:
    """Greedy text against transformers' own `generate`, where ties cannot part them."""
    if subject.model.dtype != torch.float32:
        return [Check("text", None, "greedy text is compared in float32 only, where no rounding makes ties")]
    for prompt in subject.prompts:
        none = torch.zeros(0, dtype=torch.long)
        sample = Sample("check", "", prompt, (), none, (0, 0), "", "")
        found = trace(subject.model, sample, max_new_tokens=NEW_TOKENS).tokens.tolist()
        wanted = subject.plain.generate(prompt, subject.model.eos_ids, NEW_TOKENS)
        if found != wanted:
            return [Check("text", False, f"greedy tokens {found} where generate gives {wanted}")]
    return [Check("text", True, f"greedy text of {NEW_TOKENS} tokens, as generate gives it")]


def chat_template(subject: Subject) -> list[Check]:
    """A system and a user turn through the tokenizer's template, tokenised once: BOS must not come twice."""
    tokenizer = subject.model.tokenizer
    tokens = render(tokenizer, "Answer in one word.", "Which word?").tokens.tolist()
    n_bos = next((index for index, token in enumerate(tokens) if token != tokenizer.bos_token_id), len(tokens))
    kind = "chat template" if getattr(tokenizer, "chat_template", None) else "no chat template, plain text"
    return [Check("template", n_bos <= 1, f"{kind}: {len(tokens)} tokens, {n_bos} BOS in front")]


def ends(subject: Subject) -> list[Check]:
    """The ids that end generation exist and are all of the generation config's."""
    ids = subject.model.eos_ids
    known = min(ids, default=-1) >= 0 and max(ids, default=0) < subject.plain.n_vocab
    wanted = subject.plain.hf.generation_config.eos_token_id
    listed = set([wanted] if isinstance(wanted, int) else wanted or []) <= set(ids)
    return [Check("ends", known and listed, f"generation ends at {', '.join(map(str, ids)) or 'no id'}")]


def _first_step(engine: Engine, subject: Subject, edit: HeadEdit | None = None) -> tuple[StepOutput, DecodeState]:
    return engine.step(engine.prefill(subject.prompts), subject.fed[:, 0], edit)


def _half_of_the_heads(subject: Subject) -> Tensor:
    shape = (len(subject.prompts), subject.model.n_layers, subject.model.n_heads)
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.5


def _visible(output: StepOutput, state: DecodeState, row: int) -> Tensor:
    """One row's attention over the keys that are not padding."""
    keys = state.visible[row].bool().cpu()
    return torch.stack([pattern[row].float().cpu()[:, keys] for pattern in output.patterns])


CHECKS: tuple[Callable[[Subject], list[Check]], ...] = (
    against_plain,
    ablation,
    consistency,
    fast_engine,
    sliding_window,
    rotary_table,
    generated_text,
    chat_template,
    ends,
)


_LENGTHS = (48, 29)
_SHORTEST = 16
_STEPS = 4


@dataclass(frozen=True)
class Conformance:
    """All checks of one model, and what it has of its own that is looked after."""

    model: str
    dtype: str
    n_ctx: int
    checks: tuple[Check, ...]
    quirks: tuple[Quirk, ...] = ()
    products: str = ""
    """Which way the model's products take (`mechdyn.models.products`)."""

    @property
    def passed(self) -> bool:
        """No check failed; those that do not apply do not count."""
        return all(check.passed is not False for check in self.checks)

    def __getitem__(self, name: str) -> Check:
        return next(check for check in self.checks if check.name == name)


def check_model(
    name_or_path: str | Path,
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | str | None = None,
    max_length: int | None = None,
    device_map: DeviceMap | None = None,
    seed: int = 0,
    threads: str | int | None = None,
) -> Conformance:
    """Load a model as `load_model` does and hold what a trace rests on against plain Hugging Face code over the same weights.

    Prompts are random tokens, so untrained weights will do. It takes some thirty forwards of at most fifty tokens, and no memory beyond
    the model's.

    Raises:
        MechdynError: the model is refused, with the reason.
    """
    parse_threads(threads)
    name = str(name_or_path)
    checkpoint, place = load_checkpoint(name, device=device, dtype=dtype, max_length=max_length, device_map=device_map)
    hf = plain_copy(checkpoint.hf, _published_config(name, max_length))
    model = wrap_model(checkpoint.hf, checkpoint.tokenizer, name=name, revision=checkpoint.revision, device=place, max_length=max_length)
    use_threads(threads, model)
    return check_pair(model, hf, seed=seed)


def check_pair(model: Model, hf: Any, seed: int = 0) -> Conformance:
    """Check a model that is loaded already; `hf` is `plain_copy` of what was wrapped, taken before."""
    plain = PlainModel(hf, output_projections(model.bridge))
    n_vocab, longest = min(len(model.tokenizer), plain.n_vocab), model.n_ctx - NEW_TOKENS
    if longest < _SHORTEST:
        raise InputError(
            f"the checks run prompts of {_SHORTEST} tokens and {NEW_TOKENS} new ones, and the model holds {model.n_ctx} positions; "
            f"give a max_length of {_SHORTEST + NEW_TOKENS} or more"
        )
    generator = torch.Generator().manual_seed(seed)
    lengths = (min(_LENGTHS[0], longest), min(_LENGTHS[1], longest // 2))
    prompts = tuple(torch.randint(n_vocab, (length,), generator=generator) for length in lengths)
    fed = torch.randint(n_vocab, (len(prompts), _STEPS), generator=generator)
    subject = Subject(model, plain, prompts, fed)
    checks = tuple(check for run in CHECKS for check in run(subject))
    quirks = quirks_of(hf.config, model.tokenizer, hf.generation_config)
    return Conformance(model.name, str(model.dtype).removeprefix("torch."), model.n_ctx, checks, quirks, products_of(model.twin))


def _published_config(name: str, max_length: int | None) -> Any:
    """What plain rotary tables are made from; None: from the loaded model's.

    Beyond its original context a longrope model runs on its long table throughout, which plain code does not take for short prompts.
    """
    if name in CONTROLS:
        return None
    config = read_config(name)
    return None if beyond_original_context(config, max_length) else config
