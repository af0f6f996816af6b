"""What smaller caches do to a model's own answer: the answer is fed again, all caches in one batch over one prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache as cached
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from mechdyn.decoding.batches import naming_memory
from mechdyn.decoding.engine import DecodeState, Engine
from mechdyn.decoding.engines import make_engine
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.generate import TraceOptions
from mechdyn.decoding.trace import require_model, trace_many
from mechdyn.errors import InputError, UnsupportedModelError
from mechdyn.hashing import content_hash
from mechdyn.heads import Head, rank_heads
from mechdyn.improve.budgets.allocation import BETA, KERNEL, WINDOW, Allotment, scores_of
from mechdyn.improve.budgets.positions import by_group, places, pooled_attention, window_rows
from mechdyn.improve.budgets.rows import BudgetRows, CacheRow, Orders, Scores, Telling
from mechdyn.models.model import Model
from mechdyn.models.shape import shape_of
from mechdyn.probes.forecast import Forecast
from mechdyn.tasks.sample import Sample
from mechdyn.traces.budgets import FORECAST, KV, RANDOM, SAMPLE, STATIC, UNIFORM, BudgetEffects, CacheShare
from mechdyn.traces.trace import Trace

_MASK_BYTES = 512 * 2**20
"""What the masks of all caches that run at once may take: one byte a head and position of the prompt each."""


@dataclass(frozen=True, eq=False)
class BudgetSetting:
    """Which caches are tried, and what deals them out.

    Attributes:
        caches: of each kind that is asked for.
        static: the scores of a list, for `static` and `random`.
        forecast: for `forecast`.
        beta: β of HeadKV's formula.
        window: the prompt's last positions that every head sees, at most half of a capacity.
        kernel: neighbours over which attention is pooled.
        seed: of the random dealing.
    """

    caches: tuple[CacheShare, ...]
    static: Scores | None = None
    forecast: Forecast | None = None
    beta: float = BETA
    window: int = WINDOW
    kernel: int = KERNEL
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.caches:
            raise InputError("at least one cache is needed, got none; CacheShare('static', 0.05) is 5 % by a list")
        if self.window < 1:
            raise InputError(f"the window has at least the prompt's last position, got {self.window}")
        Allotment(self.window, self.beta, self.window, self.kernel)
        asked = {cache.source for cache in self.caches}
        if asked & {STATIC, RANDOM} and self.static is None:
            raise InputError("static and random budgets are dealt out by the scores of a list; give static=")
        if FORECAST in asked and self.forecast is None:
            raise InputError("a forecast budget needs a forecast of the model's scores; give forecast=, from fit_forecast(traces)")

    def check(self, model: Model) -> None:
        """Refuse a list or forecast of another model, and a model that cannot do it."""
        if model.twin is None:
            raise UnsupportedModelError(f"{model.name}: a HookedTransformer keeps no cache to shorten; load the model with load_model")
        if self.static is not None and tuple(self.static.shape) != (model.n_layers, model.n_heads):
            raise InputError(
                f"the list scores {' x '.join(map(str, self.static.shape))} heads, the model has {model.n_layers} x {model.n_heads}; "
                "take a list of this model"
            )
        if self.forecast is not None:
            self.forecast.check(model.n_layers, model.n_heads)

    def fixed(self, cache: CacheShare, model: Model, sample: Sample, own: Scores | None = None) -> Scores | None:
        """The scores of a source that does not follow the step, None of one that does.

        `own` are the sample's, the mean over its answer's steps, which only measuring knows.
        """
        if cache.source == SAMPLE and own is None:
            raise InputError("the sample's own mean scores are known once it is answered; measure_budgets has them, decoding has not")
        if cache.source == RANDOM:
            assert self.static is not None
            order = _drawn(self.static.numel(), f"{self.seed}/{sample.key}")
            return self.static.flatten()[order].reshape(self.static.shape)
        even = torch.ones(model.n_layers, model.n_heads)
        return {UNIFORM: even, STATIC: self.static, SAMPLE: own}.get(cache.source)

    @classmethod
    def from_json(cls, content: Mapping[str, Any], n_layers: int, n_heads: int) -> "BudgetSetting":
        """What a unit asks for (`mechdyn.studies.kv_budgets.setting_json`).

        Raises:
            InputError: other content, or a list of another model.
        """
        try:
            caches = tuple(CacheShare(*each) for each in content["caches"])
            scored = content.get("static")
            forecast = content.get("forecast")
            others = {name: content[name] for name in ("beta", "window", "kernel", "seed") if name in content}
        except (KeyError, TypeError) as error:
            raise InputError(f"the caches of a unit are written as setting_json gives them, got {dict(content)!r}") from error
        static = None
        if scored is not None:
            pairs = [(Head.parse(name), float(score)) for name, score in scored.items()]
            static = scores_of(rank_heads(pairs, None, None), n_layers, n_heads)
        return cls(caches, static, None if forecast is None else Forecast.from_json(forecast), **others)


def trace_budgets(
    model: Model, samples: Sequence[Sample], setting: BudgetSetting, *, engine: str | Engine = "auto", options: TraceOptions | None = None
) -> list[Trace]:
    """The clean trace of each sample, with what each cache does along its answer (`Trace.budgets`)."""
    options = options or TraceOptions.of("r2")
    kept: dict[str, Any] = {"score": options.score, "threshold": options.threshold, "max_new_tokens": options.max_new_tokens}
    engine = make_engine(model, engine)
    traces = trace_many(model, samples, batch_size=max(1, len(samples)), engine=engine, **kept)
    return [
        replace(trace, budgets=measure_budgets(model, sample, trace, setting, engine=engine, options=options))
        for sample, trace in zip(samples, traces, strict=True)
    ]


@torch.inference_mode()
def measure_budgets(
    model: Model,
    sample: Sample,
    trace: Trace,
    setting: BudgetSetting,
    *,
    engine: str | Engine = "auto",
    options: TraceOptions | None = None,
) -> BudgetEffects:
    """Feed a model's own answer to it again under every cache, and note how likely each token is still.

    Args:
        model: what `load_model` returned.
        sample: the prompt.
        trace: its clean trace, by the score that deals budgets out (`score="r2"`).
        setting: the caches.
        engine: as in `trace`; only the fast engine can hide parts of a prompt from single heads.
        options: those of the trace.

    Raises:
        InputError: lists of another model, an answer of another sample.
        UnsupportedModelError: a model that the fast engine does not run.
        OutOfMemoryError: the device does not hold all caches together.
    """
    require_model(model)
    setting.check(model)
    chosen = fast_engine(model, engine)
    if not torch.equal(trace.prompt_tokens, sample.tokens):
        raise InputError("the trace is of another prompt than the sample; take the trace of this sample")
    score = (options or TraceOptions.of("r2")).score
    with naming_memory(model, [len(sample)], max(1, trace.n_steps), len(setting.caches) + 1, True):
        return _Measured(model, chosen, sample, trace, setting).run(score)


def fast_engine(model: Model, engine: str | Engine) -> FastEngine:
    """The engine that can do it.

    Raises:
        UnsupportedModelError: the model's attention does not go through transformers' interface, or another engine was asked for.
    """
    found = make_engine(model, engine)
    if not isinstance(found, FastEngine):
        raise UnsupportedModelError(f"{model.name}: hiding keys from single heads takes the fast engine; give engine='fast'")
    return found


def orders_of(model: Model, sample: Sample, window: int) -> Orders:
    """A prompt's positions ranked, for any budget with at most this window; its rows are read once, and each order is made once."""
    rows = window_rows(model, sample.tokens, min(window, len(sample)))
    n_kv_heads = shape_of(model.twin).n_kv_heads

    @cached
    def ranked(window: int, kernel: int, per: str) -> Int[Tensor, "layer head rival"]:
        found = pooled_attention(rows, Allotment(window, window=window, kernel=kernel))
        return places(by_group(found, n_kv_heads, "mean") if per == KV else found)

    return lambda how, per: ranked(how.window, how.kernel, per)


def _drawn(n: int, key: str) -> Int[Tensor, " head"]:
    """An order of heads, the same for a sample whenever it is run."""
    seed = int(content_hash(key)[:15], 16)
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


class _Measured:
    """One sample under all caches; the last row of the batch has the whole one."""

    def __init__(self, model: Model, engine: FastEngine, sample: Sample, trace: Trace, setting: BudgetSetting) -> None:
        self._model, self._engine, self._sample, self._trace, self._setting = model, engine, sample, trace, setting
        self._shape = shape_of(model.twin)
        self._orders = orders_of(model, sample, setting.window)
        own = trace.retrieval_scores[1:].float().clamp(min=0.0)
        self._own = own.mean(dim=0) if len(own) else torch.zeros(model.n_layers, model.n_heads)

    def run(self, score: Any) -> BudgetEffects:
        """All caches, as many at once as their masks may take, from one prefill."""
        whole, caches = self._row(CacheShare(UNIFORM, 1.0)), self._setting.caches
        state = self._engine.prefill([self._sample.tokens[:-1]])
        size = max(1, _MASK_BYTES // (self._model.n_layers * self._model.n_heads * len(self._sample)))
        parts = [self._part(score, state, caches[start : start + size], whole) for start in range(0, len(caches), size)]
        joined = (torch.cat([getattr(part, name) for part in parts]) for name in ("log_p", "kept", "seen", "held", "back"))
        return BudgetEffects(caches, len(self._sample), parts[0].position_bytes, parts[0].clean, *joined)

    def _part(self, score: Any, state: DecodeState, caches: Sequence[CacheShare], whole: CacheRow) -> BudgetEffects:
        """Some of the caches, and the whole one beside them."""
        trace, n_prompt = self._trace, len(self._sample)
        clean, log_p = torch.full((trace.n_steps,), torch.nan), torch.full((len(caches), trace.n_steps), torch.nan)
        same = torch.ones(len(caches), trace.n_steps, dtype=torch.bool)
        counts = torch.zeros(3, len(caches))
        rows = [*map(self._row, caches), whole]
        state = self._engine.fork(state, [0] * len(rows))
        batch = BudgetRows(self._engine, state, rows, Telling(score, self._setting.forecast), max(1, trace.n_steps))
        fed = torch.cat([self._sample.tokens[-1:], trace.tokens[:-1]])[: trace.n_steps]
        for step, (token, target) in enumerate(zip(fed.tolist(), trace.tokens.tolist(), strict=True)):
            logits = batch.step(torch.full((len(rows),), token), torch.full((len(rows),), target)).logits.float().cpu()
            values = logits.log_softmax(dim=-1)[:, target]
            clean[step], log_p[:, step] = values[-1], values[:-1]
            same[:, step] = logits[:-1].argmax(dim=-1) == target
            if step:
                counts += torch.tensor([self._counts(row) for row in rows[:-1]]).T
        seen, held, back = counts / max(1, trace.n_steps - 1)
        position = self._shape.n_cached * self._model.dtype.itemsize
        return BudgetEffects(tuple(caches), n_prompt, position, clean, log_p, same, seen, held, back)

    def _row(self, cache: CacheShare) -> CacheRow:
        setting, model = self._setting, self._model
        how = Allotment.of_prompt(cache.fraction, len(self._sample), beta=setting.beta, window=setting.window, kernel=setting.kernel)
        fixed = setting.fixed(cache, model, self._sample, self._own)
        return CacheRow(self._sample, cache, how, self._orders, fixed, (model.n_heads, self._shape.n_kv_heads))

    def _counts(self, row: CacheRow) -> tuple[float, float, float]:
        assert row.seen is not None
        return float(row.seen.sum()) / (row.seen.shape[0] * row.seen.shape[1]), row.held, row.back
