"""The generation loop: observe, choose heads, ablate, keep one token and one state, until every row has ended."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from mechdyn.decoding.backing import BackingReader
from mechdyn.decoding.context import KeyContext
from mechdyn.decoding.engine import DecodeState, Engine
from mechdyn.decoding.rows import MAX_NEW_TOKENS, Row, TraceOptions
from mechdyn.decoding.sources import strongest
from mechdyn.decoding.steps import Step, Tracks, stack_values, take_step
from mechdyn.errors import InputError
from mechdyn.models.model import Model

__all__ = ["MAX_NEW_TOKENS", "Row", "TraceOptions", "generate", "stack_values"]


def generate(
    engine: Engine,
    model: Model,
    rows: Sequence[Row],
    options: TraceOptions,
    state: DecodeState,
    on_step: Callable[[Sequence[Row]], None] | None = None,
    starts: Sequence[int] | None = None,
) -> None:
    """Fill the rows, all of them in one batch; their ablations must agree in scope and commit.

    The state holds each prompt less its last token. Step 0 feeds the last prompt token, so that its attention row is observed like every
    other (docs/definitions.md, "Steps"). After each step `on_step` gets the rows as they stand; what it raises ends the generation.

    Args:
        engine: what runs the steps.
        model: what runs.
        rows: what is filled.
        options: how they are generated and scored.
        state: a row for each row, or those that `starts` names.
        on_step: called after each step.
        starts: the row of `state` that each row goes on from. Rows of one start share its forward as long as they say the same, so they
            must be of one sample. Each row has its own when left out.
    """
    tracks = _first_tracks(engine, model, rows, options, state, range(len(rows)) if starts is None else starts)
    inputs = torch.stack([rows[members[0]].sample.tokens[-1] for members in tracks.members])
    while True:
        tracks = replace(tracks, context=tracks.context.append(inputs))
        step = take_step(engine, model, rows, tracks, inputs, options)
        for track, members in enumerate(tracks.members):
            for row in members:
                _record(rows[row], row, track, step, tracks.context, model, options)
        if on_step is not None:
            on_step(rows)
        following = _next_tracks(engine, rows, tracks, step)
        if following is None:
            return
        tracks = following
        inputs = torch.tensor([rows[members[0]].tokens[-1] for members in tracks.members])


def _first_tracks(
    engine: Engine, model: Model, rows: Sequence[Row], options: TraceOptions, state: DecodeState, starts: Sequence[int]
) -> Tracks:
    members: dict[int, list[int]] = {}
    for row, start in enumerate(starts):
        members.setdefault(start, []).append(row)
    _refuse_gaps(rows, state)
    if list(members) != list(range(len(state.next_position))):
        state = engine.fork(state, list(members))
    samples = [rows[each[0]].sample for each in members.values()]
    context = KeyContext.of(samples, state, options.max_new_tokens)
    reader = None if options.backing is None else BackingReader.of(options.backing, samples, model.tokenizer, context)
    return Tracks(state, context, tuple(map(tuple, members.values())), reader)


def _next_tracks(engine: Engine, rows: Sequence[Row], tracks: Tracks, step: Step) -> Tracks | None:
    """Rows that go on from one place with one token stay together; None where no row goes on."""
    together: dict[tuple[int, int], list[int]] = {}
    source: dict[int, int] = {}
    for track, members in enumerate(tracks.members):
        for row in members:
            if not rows[row].stopped:
                together.setdefault((step.places[row], rows[row].tokens[-1]), []).append(row)
                source[step.places[row]] = track
    if not together:
        return None
    order = [place for place, _ in together]
    state = step.kept if order == list(range(len(step.kept.next_position))) else engine.fork(step.kept, order)
    from_tracks = [source[place] for place in order]
    members_of = tuple(map(tuple, together.values()))
    if from_tracks == list(range(len(tracks.members))):
        return Tracks(state, tracks.context, members_of, tracks.reader)
    reader = tracks.reader.select(from_tracks) if tracks.reader is not None else None
    return Tracks(state, tracks.context.select(from_tracks), members_of, reader)


def _refuse_gaps(rows: Sequence[Row], state: DecodeState) -> None:
    """Scope `all` reads the visible tokens afresh and counts their positions from 0."""
    whole = any(row.ablation is not None and row.ablation.scope == "all" for row in rows)
    if whole and bool((state.next_position != state.visible.sum(dim=1)).any()):
        raise InputError('scope "all" knows no hidden positions, and this state has some; use scope "position"')


def _record(row: Row, number: int, track: int, step: Step, context: KeyContext, model: Model, options: TraceOptions) -> None:
    """Append one step to a row, or mark the row as ended. The step that gives an EOS id is not recorded."""
    read, place = step.read, track
    edited = number in step.edited
    if edited and step.read_edited is not None:
        read, place = step.read_edited, step.edited[number]
    token = read.tokens[place]
    if not (read.finite[place] and step.read.finite[track]):
        row.stopped = "error"
        return
    if token in model.eos_ids:
        row.stopped = "eos"
        return
    row.tokens.append(token)
    row.scores.append(step.read.scores[track])
    row.sentence_scores.append(step.sentence_scores[track])
    row.hidden.append(step.hidden[track])
    if row.ablation is not None:
        row.ablated.append(step.masks[number])
        row.ablated_scores.append(read.scores[place])
    if options.keep_patterns:
        visible = context.visible[track].cpu()
        row.patterns.append(torch.stack([pattern[track].float().cpu()[:, visible] for pattern in step.observed.patterns]))
    if options.keep_sources:
        row.sources.append(strongest(step.observed.patterns, track, context.visible[track], options.keep_sources))
    if step.backing is not None:
        row.backing.append(step.backing[track])
    if len(row.tokens) >= options.max_new_tokens or len(row.sample) + len(row.tokens) >= model.n_ctx:
        row.stopped = "length"
