"""Greedy generation under observation: samples in, traces out."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechdyn.decoding.bridge_engine import BridgeEngine
from mechdyn.decoding.engine import DecodeState, Engine, StepOutput
from mechdyn.errors import InputError
from mechdyn.models.model import Model
from mechdyn.scores import Score, StepContext, copy_paste
from mechdyn.tasks.sample import Sample
from mechdyn.traces.trace import Trace

MAX_NEW_TOKENS = 64


def trace(
    model: Model,
    sample: Sample,
    *,
    score: Score = copy_paste,
    threshold: float = 0.0,
    max_new_tokens: int = MAX_NEW_TOKENS,
    keep_patterns: bool = False,
    engine: Engine | None = None,
) -> Trace:
    """Generate the answer to one sample and record every head at every step.

    Args:
        model: what `load_model` returned.
        sample: one prompt with its needle positions.
        score: the retrieval score, evaluated inside each step.
        threshold: a head retrieves at a step where its score is above this.
        max_new_tokens: generation ends here, at the model's context, or at any of its EOS ids, whose own step is not recorded.
        keep_patterns: keep each step's attention rows (step x layer x head x key numbers) in the trace.
        engine: how to run the model; the bridge engine where left out.
    """
    options = TraceOptions(score, threshold, max_new_tokens, keep_patterns)
    return next(trace_batch(engine or BridgeEngine(model), model, [sample], options))


def trace_many(
    model: Model, samples: Iterable[Sample], *, batch_size: int = 8, engine: Engine | None = None, **options: Any
) -> Iterator[Trace]:
    """Traces of many samples, in order, `batch_size` at a time; the keyword arguments are those of `trace`."""
    chosen = TraceOptions(**options)
    remaining = iter(samples)
    while batch := list(islice(remaining, batch_size)):
        yield from trace_batch(engine or BridgeEngine(model), model, batch, chosen)


@dataclass(frozen=True)
class TraceOptions:
    """What `trace` lets the caller choose."""

    score: Score = copy_paste
    threshold: float = 0.0
    max_new_tokens: int = MAX_NEW_TOKENS
    keep_patterns: bool = False


@dataclass
class _Row:
    """One sample while it is being generated."""

    sample: Sample
    tokens: list[int] = field(default_factory=list)
    scores: list[Tensor] = field(default_factory=list)
    hidden: list[Tensor] = field(default_factory=list)
    patterns: list[Tensor] = field(default_factory=list)
    stopped: str = ""


def trace_batch(engine: Engine, model: Model, samples: Sequence[Sample], options: TraceOptions) -> Iterator[Trace]:
    """Generate a left-padded batch together; every row goes on to its own end."""
    for sample in samples:
        check_sample(model, sample)
    rows = [_Row(sample) for sample in samples]
    live = list(rows)
    # Step 0 feeds the last prompt token, so that its attention row is observed like every other (DEFINITIONS, Steps).
    state = engine.prefill([sample.tokens[:-1] for sample in samples])
    context = _Context.of(samples, state)
    inputs = torch.stack([sample.tokens[-1] for sample in samples])
    while live:
        output, state = engine.step(state, inputs)
        context = context.append(inputs)
        predicted = output.logits.argmax(dim=-1).cpu()
        _record(live, output, predicted, context, model, options)
        keep = [index for index, row in enumerate(live) if not row.stopped]
        if not keep:
            break
        if len(keep) < len(live):
            live = [live[index] for index in keep]
            state, context, predicted = engine.fork(state, keep), context.select(keep), predicted[keep]
        inputs = predicted
    for row in rows:
        yield _finish(row, model, options)


def check_sample(model: Model, sample: Sample) -> None:
    """Refuse a prompt that leaves no room for a token."""
    if len(sample) >= model.n_ctx:
        raise InputError(
            f"the prompt has {len(sample)} tokens and {model.name} holds {model.n_ctx} positions, prompt and answer together; make a shorter sample"
        )
    if len(sample.tokens) == 0:
        raise InputError("the sample's prompt has no token; render it with a tokenizer that knows its characters")


@dataclass(frozen=True)
class _Context:
    """Token and needle of every key position of the live rows, padding included."""

    tokens: Int[Tensor, "row key"]
    needle: Tensor
    visible: Tensor

    @classmethod
    def of(cls, samples: Sequence[Sample], state: DecodeState) -> "_Context":
        visible = state.visible.cpu().bool()
        tokens, needle = torch.zeros_like(visible, dtype=torch.long), torch.zeros_like(visible)
        for row, sample in enumerate(samples):
            start = visible.shape[1] - (len(sample) - 1)
            tokens[row, start:] = sample.tokens[:-1]
            needle[row, start:] = sample.needle_mask[:-1]
        return cls(tokens, needle, visible)

    def append(self, tokens: Int[Tensor, " row"]) -> "_Context":
        """One more key position: a fed token, never part of the needle."""
        column = tokens[:, None]
        false = torch.zeros_like(column, dtype=torch.bool)
        return _Context(
            torch.cat([self.tokens, column], dim=1), torch.cat([self.needle, false], dim=1), torch.cat([self.visible, ~false], dim=1)
        )

    def select(self, rows: list[int]) -> "_Context":
        return _Context(self.tokens[rows], self.needle[rows], self.visible[rows])


def _record(
    live: list[_Row], output: StepOutput, predicted: Int[Tensor, " row"], context: _Context, model: Model, options: TraceOptions
) -> None:
    """Score the step and append it to every live row; rows that end with it are marked."""
    scores = score_step(output, predicted, context, options.score)
    finite = output.logits.isfinite().all(dim=-1).tolist()
    hidden = output.hidden.cpu()
    for index, row in enumerate(live):
        token = int(predicted[index])
        if not finite[index]:
            row.stopped = "error"
        elif token in model.eos_ids:
            row.stopped = "eos"
        if row.stopped:
            continue
        row.tokens.append(token)
        row.scores.append(scores[index])
        row.hidden.append(hidden[index].float())
        if options.keep_patterns:
            visible = context.visible[index]
            row.patterns.append(torch.stack([pattern[index].cpu().float()[:, visible] for pattern in output.patterns]))
        if len(row.tokens) >= options.max_new_tokens or len(row.sample) + len(row.tokens) >= model.n_ctx:
            row.stopped = "length"


def score_step(
    output: StepOutput, predicted: Int[Tensor, " row"], context: "_Context", score: Score
) -> Float[Tensor, "row layer head"]:
    """Every head's score at this step, on the CPU."""
    device = output.patterns[0].device
    step = StepContext(context.tokens.to(device), context.needle.to(device), context.visible.to(device), predicted.to(device))
    return torch.stack([score(pattern, step) for pattern in output.patterns], dim=1).float().cpu()


def _finish(row: _Row, model: Model, options: TraceOptions) -> Trace:
    shape = (0, model.n_layers, model.n_heads)
    sample, tokenizer = row.sample, model.tokenizer
    return Trace(
        unit="",
        sample=sample.key,
        task=sample.task,
        question=sample.question,
        answer=sample.answer,
        prompt_tokens=sample.tokens,
        needle_positions=sample.needle_positions,
        tokens=torch.tensor(row.tokens, dtype=torch.long),
        token_texts=tuple(tokenizer.decode([token]) for token in row.tokens),
        text=tokenizer.decode(row.tokens, skip_special_tokens=True),
        retrieval_scores=torch.stack(row.scores) if row.scores else torch.zeros(shape),
        hidden=torch.stack(row.hidden) if row.hidden else torch.zeros(0, model.d_model),
        threshold=options.threshold,
        stopped=row.stopped,
        patterns=_pad_patterns(row.patterns) if row.patterns else None,
        meta={**sample.meta, "model": model.identity()},
    )


def _pad_patterns(patterns: list[Tensor]) -> Float[Tensor, "step layer head key"]:
    """Rows grow by one key a step: zeros behind each step's last key."""
    width = patterns[-1].shape[-1]
    return torch.stack([torch.nn.functional.pad(pattern, (0, width - pattern.shape[-1])) for pattern in patterns])
