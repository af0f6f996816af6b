"""Greedy generation under observation: samples in, traces out."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from mechdyn.decoding.ablation import Ablate, Ablation, as_ablation
from mechdyn.decoding.backing import as_backing, check_backing
from mechdyn.decoding.batches import in_batches, naming_memory
from mechdyn.decoding.engine import DecodeState, Engine
from mechdyn.decoding.engines import make_engine
from mechdyn.decoding.generate import MAX_NEW_TOKENS, Row, TraceOptions, generate
from mechdyn.decoding.sources import KEEP_SOURCES, as_sources, texts_in_place
from mechdyn.errors import InputError
from mechdyn.heads import Heads
from mechdyn.models.model import Model
from mechdyn.scores.copy_paste import copy_paste
from mechdyn.scores.score import ScoreLike
from mechdyn.tasks.sample import Sample
from mechdyn.traces.trace import Trace
from mechdyn.traces.unit import Unit


def trace(
    model: Model,
    sample: Sample,
    *,
    ablate: Ablate = None,
    score: ScoreLike = copy_paste,
    threshold: float | None = None,
    max_new_tokens: int = MAX_NEW_TOKENS,
    keep_patterns: bool = False,
    keep_sources: int = KEEP_SOURCES,
    backing: Heads | None = None,
    engine: str | Engine = "auto",
    on_step: Callable[[Trace], None] | None = None,
) -> Trace:
    """Generate the answer to one sample and record every head at every step.

    Args:
        model: what `load_model` returned.
        sample: one prompt with its needle positions.
        ablate: heads to switch off: the same ones at every step (`"L3H6 L4H1"`, a list of heads or pairs, a `HeadSet`), or those that a
            schedule chooses at each. They are zeroed at the current position, the observing forward's keys and values kept; an `Ablation`
            says otherwise.
        score: the retrieval score, evaluated inside each step: its name with any options (`"reasoning:sink=2"`), or a score itself.
        threshold: a head retrieves at a step where its score is above this; the score's own where left out.
        max_new_tokens: generation ends here, at the model's context, or at any of its EOS ids, whose own step is not recorded.
        keep_patterns: keep each step's attention rows (step x layer x head x key numbers) in the trace.
        keep_sources: keep the strongest positions of every row, this many a head and step, for `views.attention` and `views.explorer`;
            0 keeps none, as batches (`trace_many`) do.
        backing: heads (a ranking's in its order) whose attention to the generated token's like in the context is kept for every step, with
            entropy, max p and margin of its distribution (`Trace.backing`, for `views.alarm`); none when left out.
        engine: `bridge` runs steps under TransformerLens hooks, `fast` through transformers' attention interface with the same results;
            `auto` is the fast one where it agrees with the bridge on a probe. Hooks of your own need `bridge`. `static` is the fast one
            with steps of fixed shapes for CUDA graphs, not yet run on a GPU. An engine object serves as well.
        on_step: called after each step with the trace so far (`stopped` is empty until the last one), to show progress. An exception that
            it raises ends the generation and reaches the caller.

    Returns:
        The trace. Its `unit` is a key of what was asked, the same for the same call; another ablation, score, threshold or token limit
        gives another.

    Raises:
        InputError: a score or schedule that is not known, or gives something else than it must; a sample or heads that the model has no
            room for.
        OutOfMemoryError: the device does not hold it; the message has the budget's figures.
    """
    require_model(model)
    kept = {"keep_patterns": keep_patterns, "keep_sources": keep_sources, "backing": backing}
    options = TraceOptions.of(score, threshold, max_new_tokens=max_new_tokens, **kept)
    watch = None if on_step is None else lambda rows: on_step(finish(rows[0], model, options))
    return _run_batch(engine, model, [Row(sample, as_ablation(ablate))], options, watch)[0]


def trace_many(
    model: Model, samples: Iterable[Sample], *, ablate: Ablate = None, batch_size: int = 8, engine: str | Engine = "auto", **options: Any
) -> Iterator[Trace]:
    """Traces of many samples, in order, `batch_size` at a time; further keyword arguments are as in `trace`, without `on_step`.

    Where memory runs out, smaller batches are tried, and a warning says so; the traces are the same.
    """
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}")
    require_model(model)
    chosen, ablation = TraceOptions.of(**options), as_ablation(ablate)

    def run(batch: list[Sample]) -> list[Trace]:
        return _run_batch(engine, model, [Row(sample, ablation) for sample in batch], chosen)

    for traces in in_batches([samples], batch_size, run):
        yield from traces


def trace_conditions(
    model: Model,
    samples: Sequence[Sample],
    conditions: Mapping[str, Ablate],
    *,
    engine: str | Engine = "auto",
    **options: Any,
) -> list[dict[str, Trace]]:
    """Every sample under every condition, from one prefill a sample.

    Conditions of like scope and commit run as one batch, each row with its own heads at each step and its own text to its own end.

    Returns:
        For each sample the trace of each condition, in the order given.

    Raises:
        OutOfMemoryError: the samples are too many, or too long, to be run together under these conditions.
    """
    if not conditions:
        raise InputError("conditions must name at least one ablation, got none; {'clean': None} runs without any")
    require_model(model)
    chosen, ablations = TraceOptions.of(**options), {name: as_ablation(ablate) for name, ablate in conditions.items()}
    for ablation in ablations.values():
        if ablation is not None:
            ablation.check(model)
    for sample in samples:
        check_sample(model, sample)
    found: list[dict[str, Trace]] = [{} for _ in samples]
    with naming_memory(model, [len(sample) for sample in samples], chosen.max_new_tokens, len(conditions), any(ablations.values())):
        engine = make_engine(model, engine)
        state = engine.prefill([sample.tokens[:-1] for sample in samples])
        for names in _alike(ablations):
            places = [(index, name) for index in range(len(samples)) for name in names]
            rows = [Row(samples[index], ablations[name]) for index, name in places]
            starts = [index for index, _ in places]
            for (index, name), result in zip(places, _run(engine, model, rows, chosen, state, starts=starts), strict=True):
                found[index][name] = result
    return [{name: traces[name] for name in conditions} for traces in found]


def _alike(ablations: Mapping[str, Ablation | None]) -> list[list[str]]:
    """Names of conditions that can share a batch. A condition without ablation goes with the first group."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, ablation in ablations.items():
        if ablation is not None:
            groups.setdefault((ablation.scope, ablation.commit), []).append(name)
    clean = [name for name, ablation in ablations.items() if ablation is None]
    names = list(groups.values())
    if not names:
        return [clean]
    return [names[0] + clean, *names[1:]]


def _run_batch(
    engine: str | Engine, model: Model, rows: list[Row], options: TraceOptions, on_step: Callable[[Sequence[Row]], None] | None = None
) -> list[Trace]:
    """One batch, a prompt a row."""
    with naming_memory(model, [len(row.sample) for row in rows], options.max_new_tokens, ablates=any(row.ablation for row in rows)):
        return _run(make_engine(model, engine), model, rows, options, on_step=on_step)


def _run(
    engine: Engine,
    model: Model,
    rows: list[Row],
    options: TraceOptions,
    state: DecodeState | None = None,
    on_step: Callable[[Sequence[Row]], None] | None = None,
    starts: Sequence[int] | None = None,
) -> list[Trace]:
    """Check, generate and wrap up one batch, from its prefilled state where there is one."""
    check_backing(options.backing or (), model.n_layers, model.n_heads)
    for row in rows:
        check_sample(model, row.sample)
        if row.ablation is not None:
            row.ablation.check(model)
    if state is None:
        state = engine.prefill([row.sample.tokens[:-1] for row in rows])
    generate(engine, model, rows, options, state, on_step, starts)
    texts = {token: model.tokenizer.decode([token]) for token in {token for row in rows for token in row.tokens}}
    return [finish(row, model, options, texts) for row in rows]


def require_model(model: Any) -> None:
    """A name where a model is wanted is the commonest slip."""
    if not isinstance(model, Model):
        raise InputError(f"trace wants a loaded model, got {type(model).__name__} {model!r}; load it with load_model(name)")


def check_sample(model: Model, sample: Sample) -> None:
    """Refuse a prompt that is empty or leaves no room for a token."""
    if len(sample) == 0:
        raise InputError("the sample's prompt has no token; render it with a tokenizer that knows its characters")
    if len(sample) >= model.n_ctx:
        raise InputError(
            f"the prompt has {len(sample)} tokens and {model.name} holds {model.n_ctx} positions, prompt and answer together; "
            "make a shorter sample"
        )


def finish(row: Row, model: Model, options: TraceOptions, texts: Mapping[int, str] | None = None) -> Trace:
    """The trace of a row that has been generated; `texts` are those of single tokens, where they are known."""
    sample, tokenizer, identity = row.sample, model.tokenizer, model.identity()
    known = texts or {token: tokenizer.decode([token]) for token in row.tokens}
    ablation = row.ablation.as_json() if row.ablation is not None else {}
    asked = Unit(identity, {"task": sample.task, "key": sample.key}, options.decoding, ablation)
    no_heads = torch.zeros(0, model.n_layers, model.n_heads)
    n_sentences = len(sample.sentence_masks)
    result = Trace(
        unit=asked.key,
        sample=sample.key,
        task=sample.task,
        question=sample.question,
        answer=sample.answer,
        prompt_tokens=sample.tokens,
        needle_positions=sample.needle_positions,
        tokens=torch.tensor(row.tokens, dtype=torch.long),
        token_texts=tuple(known[token] for token in row.tokens),
        text=tokenizer.decode(row.tokens, skip_special_tokens=True),
        retrieval_scores=torch.stack(row.scores) if row.scores else no_heads,
        sentence_scores=(torch.stack(row.sentence_scores)[:, :n_sentences] if row.sentence_scores else torch.zeros(0, n_sentences))
        if n_sentences
        else None,
        hidden=torch.stack(row.hidden) if row.hidden else torch.zeros(0, model.d_model),
        threshold=options.threshold,
        stopped=row.stopped,
        patterns=_pad_patterns(row.patterns) if row.patterns else None,
        sources=as_sources(row.sources),
        backing=None if options.backing is None else as_backing(options.backing, row.backing),
        prompt_texts=texts_in_place(tokenizer, sample.tokens.tolist()) if row.sources or row.patterns else None,
        meta={**sample.meta, "model": identity},
    )
    if row.ablation is None:
        return result
    return replace(
        result,
        ablated=torch.stack(row.ablated) if row.ablated else no_heads.bool(),
        ablated_scores=torch.stack(row.ablated_scores) if row.ablated_scores else no_heads,
        meta={**result.meta, "ablation": ablation},
    )


def _pad_patterns(patterns: list[Tensor]) -> Float[Tensor, "step layer head key"]:
    """Rows grow by one key a step: zeros behind each step's last key."""
    width = patterns[-1].shape[-1]
    return torch.stack([pad(pattern, (0, width - pattern.shape[-1])) for pattern in patterns])
