"""One step of a batch: observe, choose heads, and run without them the rows that have any.

Rows of one sample that have said the same so far, and left the same keys and values, are one row of the observing forward: a *track*. All
conditions of a sample begin as one track; where a row says something else, it goes on alone. Rows whose heads are known before anything was
observed run without them beside the tracks, in one forward, so that the weights are read once for all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechdyn.decoding.ablation import Ablation
from mechdyn.decoding.backing import BackingReader, StepBacking
from mechdyn.decoding.context import KeyContext, score_sentences, score_step
from mechdyn.decoding.engine import DecodeState, Engine, HeadEdit, StepOutput
from mechdyn.decoding.reference import ReferenceEngine
from mechdyn.decoding.rows import Row, TraceOptions
from mechdyn.errors import InputError
from mechdyn.models.model import Model
from mechdyn.schedules import Observation
from mechdyn.scores.largest import first_largest
from mechdyn.scores.score import NamedScore

Masks = dict[int, Bool[Tensor, "layer head"]]
"""Heads to switch off, by row."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """Where the rows stand: a row of `state` and `context` for each track, and the rows that go along it, by number."""

    state: DecodeState
    context: KeyContext
    members: tuple[tuple[int, ...], ...]
    reader: BackingReader | None = None


@dataclass(frozen=True, eq=False)
class Read:
    """What a forward came to, on the CPU: its scores and the token that each of its rows gives; `finite` says whether its logits are."""

    scores: Float[Tensor, "row layer head"]
    tokens: list[int]
    finite: list[bool]


@dataclass(frozen=True, eq=False)
class Step:
    """One step of all live rows.

    `observed` and `read` have a row for each track, and may have more behind them. `masks` are the heads that rows ablate, `edited` where
    the rows that ran without any have theirs in `read_edited`. `kept` is the state to go on from, in which row `places[row]` is a row's.
    """

    observed: StepOutput
    read: Read
    sentence_scores: Float[Tensor, "row sentence"]
    hidden: Float[Tensor, "row d_model"]
    backing: list[StepBacking] | None
    masks: Masks
    edited: Mapping[int, int]
    read_edited: Read | None
    kept: DecodeState
    places: Mapping[int, int]


def take_step(
    engine: Engine, model: Model, rows: Sequence[Row], tracks: Tracks, inputs: Int[Tensor, " row"], options: TraceOptions
) -> Step:
    """An observing forward of every track, and of the rows that ablate any a forward without their heads.

    `tracks.context` has the inputs already.
    """
    along = {row: track for track, members in enumerate(tracks.members) for row in members}
    ahead = _known_ahead(model, rows, along, tracks)
    order = [*range(len(tracks.members)), *(along[row] for row in ahead)]
    if ahead:
        edit = _edit(model, rows, [*([None] * len(tracks.members)), *ahead], ahead)
        observed, after = engine.step(engine.fork(tracks.state, order, passing=True), inputs[order], edit)
        clean, context = engine.fork(after, range(len(tracks.members))), tracks.context.select(order)
    else:
        (observed, clean), context = engine.step(tracks.state, inputs), tracks.context
    read = _read(observed, context, options, [rows[members[0]] for members in tracks.members] + [rows[row] for row in ahead])
    tokens = torch.tensor(read.tokens)
    masks = ahead | _choose(rows, along, ahead, observed, read, options.threshold)
    edited = {row: len(tracks.members) + place for place, row in enumerate(ahead)}
    late = [row for row, mask in masks.items() if row not in ahead and bool(mask.any())]
    shown: Tensor = score_sentences(observed, tokens, context, options.score)
    _refuse_nan(shown, read, options.score, [rows[members[0]] for members in tracks.members])
    backing = tracks.reader.read(observed, tokens, context) if tracks.reader is not None else None
    step = Step(observed, read, shown, observed.hidden.float().cpu(), backing, masks, edited, read, clean, along)
    return _edited(engine, model, rows, tracks, inputs, options, step, late) if late else step


def _edited(
    engine: Engine,
    model: Model,
    rows: Sequence[Row],
    tracks: Tracks,
    inputs: Int[Tensor, " row"],
    options: TraceOptions,
    step: Step,
    late: Sequence[int],
) -> Step:
    """The step with the forward of the rows whose heads the observing one has told.

    Where its keys and values are kept, every track goes through it, those without any head off too.
    """
    ablation = _shared_ablation(rows, late)
    keeping = ablation.commit == "ablated"
    on = [members for members in (tuple(row for row in each if row not in late) for each in tracks.members) if members] if keeping else []
    running: list[int] = [*late, *(members[0] for members in on)]
    order = [step.places[row] for row in running]
    context = tracks.context.select(order)
    edit = _edit(model, rows, running, step.masks)
    if edit.whole:
        output, dirty = _whole_step(model, context, edit), step.kept
    else:
        state = engine.fork(tracks.state, order, passing=True)
        output, dirty = engine.step(state, inputs[order], edit, step.observed.carried(order, state))
    read = _read(output, context, options, [rows[row] for row in running])
    edited = {row: place for place, row in enumerate(late)}
    if step.edited:
        edited, read = _joined(step, edited, read)
    if not keeping:
        return replace(step, edited=edited, read_edited=read)
    places = {row: place for place, row in enumerate(late)} | {row: len(late) + place for place, each in enumerate(on) for row in each}
    return replace(step, edited=edited, read_edited=read, kept=dirty, places=places)


def _joined(step: Step, edited: Mapping[int, int], read: Read) -> tuple[dict[int, int], Read]:
    """Rows that ran beside the tracks, and those that ran behind them, in one."""
    before = step.read
    n_before = len(before.tokens)
    both = Read(torch.cat([before.scores, read.scores]), before.tokens + read.tokens, before.finite + read.finite)
    return dict(step.edited) | {row: n_before + place for row, place in edited.items()}, both


def _known_ahead(model: Model, rows: Sequence[Row], along: Mapping[int, int], tracks: Tracks) -> Masks:
    """The heads of rows whose schedules ask nothing of the step, where their forward may run beside the tracks.

    It may not where its keys and values are kept, or where heads are off at all positions.
    """
    known: Masks = {}
    blank = torch.zeros(model.n_layers, model.n_heads)
    for row in along:
        ablation = rows[row].ablation
        if ablation is None or tracks.reader is not None or not getattr(ablation.schedule, "ahead", False):
            continue
        if ablation.scope == "position" and ablation.commit == "clean":
            mask = ablation.heads(Observation(rows[row].sample.key, len(rows[row].tokens), blank, blank.bool(), ()))
            if mask.any():
                known[row] = mask
    return known


def _choose(rows: Sequence[Row], along: Mapping[int, int], ahead: Masks, observed: StepOutput, read: Read, threshold: float) -> Masks:
    """The heads of all other rows that ablate."""
    found: Masks = {}
    for row, track in along.items():
        ablation = rows[row].ablation
        if ablation is not None and row not in ahead:
            patterns = tuple(pattern[track] for pattern in observed.patterns)
            scores = read.scores[track]
            found[row] = ablation.heads(Observation(rows[row].sample.key, len(rows[row].tokens), scores, scores > threshold, patterns))
    return found


def _edit(model: Model, rows: Sequence[Row], running: Sequence[int | None], masks: Masks) -> HeadEdit:
    """The edit of a forward of these rows; None is a row with every head on."""
    none = torch.zeros(model.n_layers, model.n_heads, dtype=torch.bool)
    each = [none if row is None else masks.get(row, none) for row in running]
    ablations = [None if row is None else rows[row].ablation for row in running]
    values = [
        (place, ablation.values(rows[row].sample.key, len(rows[row].tokens)))
        for place, (row, ablation) in enumerate(zip(running, ablations, strict=True))
        if row is not None and ablation is not None
    ]
    averaged = torch.tensor([ablation is not None and ablation.averages for ablation in ablations])
    whole = any(ablation is not None and ablation.scope == "all" for ablation in ablations)
    return HeadEdit(torch.stack(each), stack_values(values, len(running)), whole=whole, averaged=averaged if averaged.any() else None)


def _read(output: StepOutput, context: KeyContext, options: TraceOptions, rows: Sequence[Row]) -> Read:
    """Scores and tokens of a forward, in one small copy each."""
    predicted = first_largest(output.logits)
    told = torch.stack([predicted, output.logits.isfinite().all(dim=-1).long()]).cpu()
    scores = score_step(output, told[0], context, options.score)
    read = Read(scores, told[0].tolist(), told[1].bool().tolist())
    _refuse_nan(scores, read, options.score, rows)
    return read


def _refuse_nan(scores: Tensor, read: Read, score: NamedScore, rows: Sequence[Row]) -> None:
    """A score that is not a number would count as one that does not retrieve; where the logits are finite it is the score's own fault."""
    if not bool(scores.isnan().any()):
        return
    for each, finite, row in zip(scores, read.finite, rows, strict=False):
        if finite and bool(each.isnan().any()):
            raise InputError(
                f"the score {score.name!r} gave NaN at step {len(row.tokens)}, where the model's logits are finite; it must give a number "
                "for every head"
            )


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


def _shared_ablation(rows: Sequence[Row], numbers: Sequence[int]) -> Ablation:
    return next(ablation for ablation in (rows[number].ablation for number in numbers) if ablation is not None)


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
