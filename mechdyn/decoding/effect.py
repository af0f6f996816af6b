"""Teacher-forced ablation along one answer: what do heads that are off at a single step do to the tokens that follow?

A step's ablation acts on that step's position alone, and the keys and values before it are those of a forward with every head on. So the
prompt and the answer are read once, and every pair of a step and a set of heads is a row of one query that goes back to its own step: all
rows of a sample share its keys and values, however many sets there are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechdyn.decoding.ablation import Ablate, Ablation, as_ablation
from mechdyn.decoding.batches import in_batches, naming_memory
from mechdyn.decoding.context import KeyContext, score_step
from mechdyn.decoding.engine import DecodeState, Engine, HeadEdit, StepOutput
from mechdyn.decoding.engines import make_engine
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.generate import Row, TraceOptions, generate, stack_values
from mechdyn.decoding.trace import check_sample, finish, require_model
from mechdyn.errors import InputError
from mechdyn.models.footprint import Workload, memory_of
from mechdyn.models.model import Model
from mechdyn.models.shape import shape_of
from mechdyn.schedules import ByStep, NoAblation, Observation
from mechdyn.tasks.sample import Sample
from mechdyn.traces.effect import Effect, later
from mechdyn.traces.trace import Trace

HeadsByStep: TypeAlias = Mapping[str, Ablate | Bool[Tensor, "step layer head"]] | Ablate | Bool[Tensor, "step layer head"]
"""Sets of heads by name, or one set: heads for all steps, a schedule, an `Ablation`, or a mask of heads a step."""
ONLY = "heads"
"""What the one set is called where sets are not named."""
_METHODS = ("zero", "mean", "resample")
_BATCH_BYTES = 512 * 2**20
"""What the rows of one forward may hold together, beside weights, prompts and answers."""
_MOST_ROWS = 256
"""More rows in a forward than this gain nothing: the products with the weights are no longer bound by reading them."""


@dataclass(frozen=True, eq=False)
class _Answer:
    """One answer to measure along, and the retrieval scores of its steps where its own generation gave them."""

    sample: Sample
    tokens: Int[Tensor, " step"]
    scores: Float[Tensor, "step layer head"] | None

    @property
    def fed(self) -> Int[Tensor, " step"]:
        """The token that each step is fed."""
        return torch.cat([self.sample.tokens[-1:], self.tokens[:-1]])[: len(self.tokens)]

    def until(self, step: int) -> Sample:
        """The sample with a prompt that ends in the token that a step is fed."""
        return replace(self.sample, tokens=torch.cat([self.sample.tokens, self.tokens[:step]]))


_Place: TypeAlias = tuple[int, int]
"""An answer and a step of it, both by number."""


@dataclass(frozen=True, eq=False)
class _OffRow:
    """A step that runs without the heads of a set."""

    place: _Place
    set: int
    mask: Bool[Tensor, "layer head"]
    values: Float[Tensor, "layer head d_head"] | None


def effect(
    model: Model,
    sample: Sample,
    heads_by_step: HeadsByStep,
    *,
    tokens: Sequence[int] | Int[Tensor, " step"] | None = None,
    lags: int = 0,
    engine: str | Engine = "auto",
    **options: Any,
) -> Effect:
    """Δ log p of an answer's tokens where heads are off at one step, for every step and every set of heads: no floor, an effect a step.

    At step t the heads of a set are switched off at the current position, all that stands before it being as with every head on:
    Δ(t) = log p(token t | every head on) − log p(token t | the set off at step t), in nats. With `lags`, the keys and values that the
    step leaves behind without these heads are kept, the answer is fed on with every head on, and Δ of token t + lag is measured for each
    lag; lag 0 is the step itself.

    Args:
        model: what `load_model` returned.
        sample: one prompt with its needle positions.
        heads_by_step: sets of heads by name. A set is heads for all steps (`"L3H6 L4H1"`), a schedule, a mask of step x layer x head, or
            an `Ablation` where something else than zero takes the place of a head; its scope must be `position`.
        tokens: ids of the answer; the model's own greedy one, with every head on, where left out. Schedules see which heads retrieve
            the token that a step gives, given tokens among them.
        lags: how many tokens after the step's own are measured as well.
        engine: as in `trace`.
        options: `score`, `threshold` (both for schedules that ask which heads retrieve) and `max_new_tokens`, as in `trace`.

    Returns:
        An `Effect`: `delta` [set, step, lag], the log probabilities, the heads; `to_frame()` has a row for each.

    Raises:
        InputError: no set at all, heads that the model does not have, a scope other than `position`, tokens that are none of the model's
            or for which it has no room, `lags` below 0.
        OutOfMemoryError: the device does not hold the sample.
    """
    sets = as_sets(heads_by_step)
    require_model(model)
    chosen = TraceOptions.of(**options)
    if tokens is not None:
        forced = _given(model, sample, tokens)
        return measure(model, [_Answer(sample, forced, None)], sets, lags, chosen, make_engine(model, engine))[0]
    (found,) = trace_effects(model, [sample], sets, lags=lags, engine=engine, options=chosen)
    assert found.effect is not None
    return found.effect


def trace_effects(
    model: Model,
    samples: Sequence[Sample],
    sets: Mapping[str, Ablation],
    *,
    lags: int = 0,
    engine: str | Engine = "auto",
    options: TraceOptions | None = None,
) -> list[Trace]:
    """The clean trace of each sample, with the effect of every set along its answer: one batch, one prefill."""
    options, engine = options or TraceOptions.of(), make_engine(model, engine)
    for sample in samples:
        check_sample(model, sample)
    rows = [Row(sample) for sample in samples]
    with naming_memory(model, [len(sample) for sample in samples], options.max_new_tokens):
        state = engine.prefill([sample.tokens[:-1] for sample in samples])
        generate(engine, model, rows, options, state)
    traces = [finish(row, model, options) for row in rows]
    answers = [_Answer(sample, trace.tokens, trace.retrieval_scores) for sample, trace in zip(samples, traces, strict=True)]
    effects = measure(model, answers, sets, lags, options, engine, state)
    return [replace(trace, effect=found) for trace, found in zip(traces, effects, strict=True)]


def as_sets(heads_by_step: HeadsByStep) -> dict[str, Ablation]:
    """The ablation behind every set, by name; a set of no heads stays, and does nothing.

    Raises:
        InputError: no set, a scope other than `position`, or what is no set of heads.
    """
    named = heads_by_step if isinstance(heads_by_step, Mapping) else {ONLY: heads_by_step}
    if not named:
        raise InputError("heads_by_step must name at least one set of heads, got none; {'static': md.heads('L3H6 L4H1')} names one")
    sets = {}
    for name, given in named.items():
        ablation = as_ablation(ByStep.from_masks(given) if isinstance(given, Tensor) else given)
        ablation = ablation or Ablation(NoAblation())
        if ablation.method not in _METHODS:
            raise InputError(f"an effect is measured with {', '.join(_METHODS)} in a head's place, got {ablation.method!r} for {name!r}")
        if ablation.scope != "position":
            raise InputError(
                f"an effect is that of heads off at one step alone, so the scope of {name!r} must be position, got {ablation.scope!r}"
            )
        sets[name] = ablation
    return sets


def measure(
    model: Model,
    answers: Sequence[_Answer],
    sets: Mapping[str, Ablation],
    lags: int,
    options: TraceOptions,
    engine: Engine,
    state: DecodeState | None = None,
) -> list[Effect]:
    """The effect of every set along each answer; `state` is behind the prompts less their last tokens, where they were read already."""
    _check(model, sets, lags)
    with naming_memory(model, [len(answer.sample) for answer in answers], max(len(answer.tokens) for answer in answers), 1, True):
        if state is None:
            state = engine.prefill([answer.sample.tokens[:-1] for answer in answers])
        longest = max(len(answer.tokens) for answer in answers)
        state = engine.extend(state, [answer.fed[:-1] for answer in answers], keep=longest)
        return _Measurement(model, engine, state, answers, sets, lags, options).run()


class _Measurement:
    """All rows over one state, which is behind prompts and answers."""

    def __init__(
        self,
        model: Model,
        engine: Engine,
        state: DecodeState,
        answers: Sequence[_Answer],
        sets: Mapping[str, Ablation],
        lags: int,
        options: TraceOptions,
    ) -> None:
        self._model, self._engine, self._state, self._answers, self._lags, self._options = model, engine, state, answers, lags, options
        self._names, self._ablations = tuple(sets), tuple(sets.values())
        shape = (len(sets), model.n_layers, model.n_heads)
        self._clean = [torch.zeros(len(answer.tokens)) for answer in answers]
        self._off = [torch.full((len(sets), len(answer.tokens), lags + 1), torch.nan) for answer in answers]
        self._heads = [torch.zeros(shape[0], len(answer.tokens), *shape[1:], dtype=torch.bool) for answer in answers]

    def run(self) -> list[Effect]:
        """First every step with all heads on, which says what the sets are; then every step and set."""
        places = [(index, step) for index, answer in enumerate(self._answers) for step in range(len(answer.tokens))]
        n_rows = _rows_at_once(self._model, self._engine, self._state)
        off = [row for rows in in_batches([places], n_rows, self._watch) for row in rows]
        for index, clean in enumerate(self._clean):
            self._off[index][:] = later(clean, self._lags)
        for _ in in_batches([off], n_rows, self._switch_off):
            pass
        return list(self._effects())

    def _effects(self) -> Iterator[Effect]:
        for answer, clean, off, heads in zip(self._answers, self._clean, self._off, self._heads, strict=True):
            texts = tuple(self._model.tokenizer.decode([token]) for token in answer.tokens.tolist())
            yield Effect(self._names, answer.tokens, texts, clean, off, heads)

    def _watch(self, places: Sequence[_Place]) -> list[_OffRow]:
        """Steps with every head on: their log probabilities, and the heads that each set has at them."""
        state, fed = self._at(places), self._fed(places)
        observed, _ = self._engine.step(state, fed)
        targets = self._targets(places)
        for (index, step), value in zip(places, log_p(observed.logits, targets), strict=True):
            self._clean[index][step] = value
        scores = self._scores(observed, places, state, fed, targets)
        rows = []
        for row, (index, step) in enumerate(places):
            patterns = tuple(pattern[row] for pattern in observed.patterns)
            key, active = self._answers[index].sample.key, scores[row] > self._options.threshold
            observation = Observation(key, step, scores[row], active, patterns)
            for place, ablation in enumerate(self._ablations):
                mask = ablation.heads(observation)
                if mask.any():
                    self._heads[index][place, step] = mask
                    rows.append(_OffRow((index, step), place, mask, ablation.values(key, step)))
        return rows

    def _switch_off(self, rows: Sequence[_OffRow]) -> None:
        """Steps without some heads, and as many steps behind them as there are lags, with all heads again."""
        places = [row.place for row in rows]
        masks = torch.stack([row.mask for row in rows])
        given = [(index, row.values) for index, row in enumerate(rows)]
        edit: HeadEdit | None = HeadEdit(masks, stack_values(given, len(rows)))
        state, live = self._at(places), list(range(len(rows)))
        for lag in range(self._lags + 1):
            now = [(rows[row].place[0], rows[row].place[1] + lag) for row in live]
            output, state = self._engine.step(state, self._fed(now), edit)
            for row, value in zip(live, log_p(output.logits, self._targets(now)), strict=True):
                index, step = rows[row].place
                self._off[index][rows[row].set, step, lag] = value
            going_on = [number for number, (index, step) in enumerate(now) if step + 1 < len(self._answers[index].tokens)]
            if not going_on or lag == self._lags:
                return
            edit, live = None, [live[number] for number in going_on]
            state = self._engine.fork(state, going_on)

    def _at(self, places: Sequence[_Place]) -> DecodeState:
        """A row for each place, directly before the token that the step is fed."""
        forked = self._engine.fork(self._state, [index for index, _ in places])
        return forked.going_back(torch.tensor([len(self._answers[index].tokens) - 1 - step for index, step in places]))

    def _fed(self, places: Sequence[_Place]) -> Int[Tensor, " row"]:
        return torch.stack([self._answers[index].fed[step] for index, step in places])

    def _targets(self, places: Sequence[_Place]) -> Int[Tensor, " row"]:
        return torch.stack([self._answers[index].tokens[step] for index, step in places])

    def _scores(
        self, observed: StepOutput, places: Sequence[_Place], state: DecodeState, fed: Int[Tensor, " row"], targets: Int[Tensor, " row"]
    ) -> Float[Tensor, "row layer head"]:
        """The retrieval scores of the steps: those of the answer's own generation where it had one."""
        known = [self._answers[index].scores for index, _ in places]
        if all(scores is not None for scores in known):
            return torch.stack([scores[step] for scores, (_, step) in zip(known, places, strict=True) if scores is not None])
        context = KeyContext.of([self._answers[index].until(step) for index, step in places], state, 1).append(fed)
        return score_step(observed, targets, context, self._options.score)


def log_p(logits: Float[Tensor, "row vocab"], targets: Int[Tensor, " row"]) -> list[float]:
    """The log probability of a token a row."""
    return logits.float().log_softmax(dim=-1).gather(1, targets.to(logits.device)[:, None])[:, 0].tolist()


def _rows_at_once(model: Model, engine: Engine, state: DecodeState) -> int:
    """How many rows one forward has, by what a row holds: its attention rows, its logits, and where an engine copies them its keys."""
    if model.twin is None:
        return 1
    shape, length = shape_of(model.twin), state.positions.shape[1] + 1
    held = memory_of(shape, Workload(length, 1), model.dtype).step + 2 * shape.d_vocab * 4
    if not isinstance(engine, FastEngine):
        held += shape.n_cached * length * model.dtype.itemsize
    return max(1, min(_MOST_ROWS, _BATCH_BYTES // held))


def _given(model: Model, sample: Sample, tokens: Sequence[int] | Int[Tensor, " step"]) -> Int[Tensor, " step"]:
    """The tokens of an answer that was given, held against the model."""
    check_sample(model, sample)
    forced = torch.as_tensor(tokens, dtype=torch.long).flatten()
    n_vocab = len(model.tokenizer) if model.twin is None else int(model.twin.get_input_embeddings().weight.shape[0])
    if not len(forced):
        raise InputError("tokens must hold at least one token id of an answer, got none; leave them out for the model's own answer")
    if int(forced.min()) < 0 or int(forced.max()) >= n_vocab:
        raise InputError(f"tokens must be ids between 0 and {n_vocab - 1}, got {int(forced.min())} to {int(forced.max())}")
    if len(sample) + len(forced) > model.n_ctx:
        raise InputError(
            f"prompt and answer have {len(sample) + len(forced)} tokens and {model.name} holds {model.n_ctx} positions; give fewer tokens"
        )
    return forced


def _check(model: Model, sets: Mapping[str, Ablation], lags: int) -> None:
    if isinstance(lags, bool) or not isinstance(lags, int) or lags < 0:
        raise InputError(f"lags must be 0 (the step itself) or more, got {lags!r}")
    for ablation in sets.values():
        ablation.check(model)
