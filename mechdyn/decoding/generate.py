"""The generation loop: observe, choose heads, ablate, keep one token and one state, until every row has ended."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechdyn.decoding.ablation import Ablation
from mechdyn.decoding.backing import BackingReader, StepBacking
from mechdyn.decoding.context import KeyContext, score_sentences, score_step
from mechdyn.decoding.engine import DecodeState, Engine, HeadEdit, StepOutput
from mechdyn.decoding.reference import ReferenceEngine
from mechdyn.decoding.sources import StepSources, strongest
from mechdyn.errors import InputError
from mechdyn.heads import Head, each_head
from mechdyn.models.model import Model
from mechdyn.schedules import Observation
from mechdyn.scores.copy_paste import copy_paste
from mechdyn.scores.score import NamedScore, ScoreLike, as_score
from mechdyn.tasks.sample import Sample
from mechdyn.traces.unit import BACKING

MAX_NEW_TOKENS = 64


@dataclass(frozen=True)
class TraceOptions:
    """How a batch is generated and scored."""

    score: NamedScore
    threshold: float
    max_new_tokens: int = MAX_NEW_TOKENS
    keep_patterns: bool = False
    keep_sources: int = 0
    backing: tuple[Head, ...] | None = None
    """Heads whose backing of each token is read; None: not at all."""

    @classmethod
    def of(cls, score: ScoreLike = copy_paste, threshold: float | None = None, **others: Any) -> "TraceOptions":
        """Options with a score however it is asked for, and its own threshold where none is given."""
        named = as_score(score)
        if others.get(BACKING) is not None:
            others[BACKING] = tuple(each_head(others[BACKING]))
        return cls(named, named.threshold if threshold is None else float(threshold), **others)

    @property
    def decoding(self) -> dict[str, Any]:
        """What of this decides a trace, as a unit names it."""
        backing = {} if self.backing is None else {BACKING: list(map(str, self.backing))}
        return {"score": self.score.short, "threshold": self.threshold, "max_new_tokens": self.max_new_tokens, **backing}

    def __post_init__(self) -> None:
        if math.isnan(self.threshold):
            raise InputError("threshold must be a number, got NaN; no score is above NaN, so no head could ever retrieve")
        if self.keep_sources < 0:
            raise InputError(f"keep_sources must be 0 (none) or more, got {self.keep_sources}")
        if self.max_new_tokens < 1:
            raise InputError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")


@dataclass(eq=False)
class Row:
    """One sample under one ablation while it is being generated; lists have one entry a step."""

    sample: Sample
    ablation: Ablation | None = None
    tokens: list[int] = field(default_factory=list)
    scores: list[Float[Tensor, "layer head"]] = field(default_factory=list)
    sentence_scores: list[Float[Tensor, " sentence"]] = field(default_factory=list)
    hidden: list[Float[Tensor, " d_model"]] = field(default_factory=list)
    ablated: list[Bool[Tensor, "layer head"]] = field(default_factory=list)
    ablated_scores: list[Float[Tensor, "layer head"]] = field(default_factory=list)
    patterns: list[Float[Tensor, "layer head key"]] = field(default_factory=list)
    sources: list[StepSources] = field(default_factory=list)
    backing: list[StepBacking] = field(default_factory=list)
    stopped: str = ""


@dataclass(frozen=True, eq=False)
class Step:
    """What one step decided for every live row; the edited part is absent where no row ablated anything."""

    observed: StepOutput
    scores: Float[Tensor, "row layer head"]
    sentence_scores: Float[Tensor, "row sentence"]
    masks: Bool[Tensor, "row layer head"]
    tokens: Int[Tensor, " row"]
    finite: Bool[Tensor, " row"]
    edited_scores: Float[Tensor, "row layer head"] | None


def generate(
    engine: Engine,
    model: Model,
    rows: Sequence[Row],
    options: TraceOptions,
    state: DecodeState,
    on_step: Callable[[Sequence[Row]], None] | None = None,
) -> None:
    """Fill the rows, all of them in one batch from `state`, a row each; their ablations must agree in scope and commit.

    The state holds each prompt less its last token. Step 0 feeds the last prompt token, so that its attention row is observed like every
    other (docs/definitions.md, "Steps"). After each step `on_step` gets the rows as they stand; what it raises ends the generation.
    """
    live = list(rows)
    _refuse_gaps(rows, state)
    context = KeyContext.of([row.sample for row in rows], state, options.max_new_tokens)
    reader = None
    if options.backing is not None:
        reader = BackingReader.of(options.backing, [row.sample for row in rows], model.tokenizer, context)
    inputs = torch.stack([row.sample.tokens[-1] for row in rows])
    while True:
        context = context.append(inputs)
        step, state = _step(engine, model, live, state, context, inputs, options)
        backing = reader.read(step.observed, step.observed.logits.argmax(dim=-1), context) if reader is not None else None
        for index, row in enumerate(live):
            if _record(row, index, step, context, model, options) and backing is not None:
                row.backing.append(backing[index])
        if on_step is not None:
            on_step(rows)
        keep = [index for index, row in enumerate(live) if not row.stopped]
        if not keep:
            return
        inputs = step.tokens[keep]
        if len(keep) < len(live):
            live = [live[index] for index in keep]
            state, context = engine.fork(state, keep), context.select(keep)
            reader = reader.select(keep) if reader is not None else None


def _refuse_gaps(rows: Sequence[Row], state: DecodeState) -> None:
    """Scope `all` reads the visible tokens afresh and counts their positions from 0."""
    whole = any(row.ablation is not None and row.ablation.scope == "all" for row in rows)
    if whole and bool((state.next_position != state.visible.sum(dim=1)).any()):
        raise InputError('scope "all" knows no hidden positions, and this state has some; use scope "position"')


def _step(
    engine: Engine,
    model: Model,
    live: list[Row],
    state: DecodeState,
    context: KeyContext,
    inputs: Int[Tensor, " row"],
    options: TraceOptions,
) -> tuple[Step, DecodeState]:
    """An observing forward, and, where any row ablates, an edited forward of the same input."""
    observed, clean = engine.step(state, inputs)
    tokens = observed.logits.argmax(dim=-1).cpu()
    finite = observed.logits.isfinite().all(dim=-1).cpu()
    scores = score_step(observed, tokens, context, options.score)
    sentences = score_sentences(observed, tokens, context, options.score)
    _refuse_nan([scores, sentences], finite, live, options.score)
    masks, values = _choose_heads(live, observed, scores, options.threshold)
    if not masks.any():
        return Step(observed, scores, sentences, masks, tokens, finite, None), clean
    ablation = _shared_ablation(live)
    averaged = torch.tensor([row.ablation is not None and row.ablation.averages for row in live])
    edit = HeadEdit(masks, values, whole=ablation.scope == "all", averaged=averaged if averaged.any() else None)
    if edit.whole:
        edited, dirty = _whole_step(model, context, edit), clean
    else:
        edited, dirty = engine.step(state, inputs, edit, observed)
    edits = masks.flatten(1).any(dim=1)
    edited_tokens = edited.logits.argmax(dim=-1).cpu()
    edited_scores = score_step(edited, edited_tokens, context, options.score)
    finite &= edited.logits.isfinite().all(dim=-1).cpu()
    _refuse_nan([edited_scores], finite, live, options.score)
    kept = dirty if ablation.commit == "ablated" else clean
    return Step(observed, scores, sentences, masks, torch.where(edits, edited_tokens, tokens), finite, edited_scores), kept


def _refuse_nan(scores: Sequence[Tensor], finite: Bool[Tensor, " row"], live: list[Row], score: NamedScore) -> None:
    """A score that is not a number would count as one that does not retrieve; where the logits are finite it is the score's own fault."""
    for index, row in enumerate(live):
        if finite[index] and any(bool(each[index].isnan().any()) for each in scores):
            raise InputError(
                f"the score {score.name!r} gave NaN at step {len(row.tokens)}, where the model's logits are finite; it must give a number "
                "for every head"
            )


def _choose_heads(
    live: list[Row], observed: StepOutput, scores: Float[Tensor, "row layer head"], threshold: float
) -> tuple[Bool[Tensor, "row layer head"], Float[Tensor, "row layer head d_head"] | None]:
    """Each row's heads to ablate and what takes their place (None: zero)."""
    masks = torch.zeros_like(scores, dtype=torch.bool)
    if all(row.ablation is None for row in live):
        return masks, None
    values = []
    for index, row in enumerate(live):
        if row.ablation is None:
            continue
        step = len(row.tokens)
        active = scores[index] > threshold
        patterns = tuple(pattern[index] for pattern in observed.patterns)
        masks[index] = row.ablation.heads(Observation(row.sample.key, step, scores[index], active, patterns))
        values.append((index, row.ablation.values(row.sample.key, step)))
    return masks, stack_values(values, len(live))


def stack_values(
    values: list[tuple[int, Float[Tensor, "layer head d_head"] | None]], n_rows: int
) -> Float[Tensor, "row layer head d_head"] | None:
    """What takes the place of heads, row by row; None where that is zero everywhere."""
    given = [(index, value) for index, value in values if value is not None]
    if not given:
        return None
    stacked = torch.zeros(n_rows, *given[0][1].shape)
    for index, value in given:
        stacked[index] = value
    return stacked


def _shared_ablation(live: list[Row]) -> Ablation:
    return next(row.ablation for row in live if row.ablation is not None)


def _whole_step(model: Model, context: KeyContext, edit: HeadEdit) -> StepOutput:
    """Scope `all`: the whole sequence afresh, heads edited at every position."""
    reference = ReferenceEngine(model)
    prompts = [tokens[visible].cpu() for tokens, visible in zip(context.tokens, context.visible, strict=True)]
    state = reference.prefill([prompt[:-1] for prompt in prompts])
    output, _ = reference.step(state, torch.stack([prompt[-1] for prompt in prompts]), edit)
    return _spread(output, context)


def _spread(output: StepOutput, context: KeyContext) -> StepOutput:
    """Lay left-padded attention rows where the batch has its keys."""

    def lay(rows: Float[Tensor, "row head key"]) -> Float[Tensor, "row head room"]:
        laid = rows.new_zeros(*rows.shape[:2], context.visible.shape[1])
        for row, visible in enumerate(context.visible):
            laid[row][:, visible.to(rows.device)] = rows[row][:, rows.shape[-1] - int(visible.sum()) :]
        return laid

    tell = output.writes
    writes = None if tell is None else lambda layer, tokens: lay(tell(layer, tokens))
    return StepOutput(output.logits, tuple(map(lay, output.patterns)), output.hidden, writes=writes)


def _record(row: Row, index: int, step: Step, context: KeyContext, model: Model, options: TraceOptions) -> bool:
    """Append one step to a row, or mark the row as ended. The step that gives an EOS id is not recorded. Returns whether it was."""
    token = int(step.tokens[index])
    if not step.finite[index]:
        row.stopped = "error"
        return False
    if token in model.eos_ids:
        row.stopped = "eos"
        return False
    row.tokens.append(token)
    row.scores.append(step.scores[index])
    row.sentence_scores.append(step.sentence_scores[index])
    row.hidden.append(step.observed.hidden[index].float().cpu())
    if row.ablation is not None:
        edited = step.edited_scores is not None and bool(step.masks[index].any())
        row.ablated.append(step.masks[index])
        row.ablated_scores.append(step.edited_scores[index] if edited and step.edited_scores is not None else step.scores[index])
    if options.keep_patterns:
        visible = context.visible[index].cpu()
        row.patterns.append(torch.stack([pattern[index].float().cpu()[:, visible] for pattern in step.observed.patterns]))
    if options.keep_sources:
        row.sources.append(strongest(step.observed.patterns, index, context.visible[index], options.keep_sources))
    if len(row.tokens) >= options.max_new_tokens or len(row.sample) + len(row.tokens) >= model.n_ctx:
        row.stopped = "length"
    return True
