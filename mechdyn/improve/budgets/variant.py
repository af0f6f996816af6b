"""A model whose key-value cache is too small, as the one evaluation takes it: greedy answers and the likelihood of texts."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechdyn.decoding.engine import Engine
from mechdyn.improve.budgets.allocation import Allotment
from mechdyn.improve.budgets.measure import BudgetSetting, fast_engine, orders_of
from mechdyn.improve.budgets.rows import BudgetRows, CacheRow, Telling
from mechdyn.improve.stepping import answer_samples, forced_log_probs, text_sample, whole_log_probs
from mechdyn.improve.variant import Answer
from mechdyn.models.model import Model
from mechdyn.models.shape import shape_of
from mechdyn.scores.score import ScoreLike, as_score
from mechdyn.tasks.sample import Sample
from mechdyn.traces.budgets import ECHO, FORECAST, KV, ORACLE, PERSISTENCE, CacheShare

FOLLOWING = (ORACLE, PERSISTENCE, ECHO, FORECAST)
"""Sources that deal a budget out anew at every step."""


def cache_name(cache: CacheShare) -> str:
    """`echo 5 %`, with what is unusual behind it."""
    unusual = [*([] if cache.reversible else ["for good"]), *(["key-value heads"] if cache.per == KV else [])]
    return ", ".join([f"{cache.source} {100 * cache.fraction:g} %", *unusual])


class Budgeted:
    """The model with a cache of some share of each prompt, dealt out by HeadKV's formula; the first token sees the whole prompt.

    Over a given text (`log_probs`) the first half is the prompt, read whole; the budget of that half holds for what follows.
    """

    def __init__(
        self,
        model: Model,
        cache: CacheShare,
        setting: BudgetSetting,
        *,
        name: str = "",
        score: ScoreLike = "r2",
        engine: str | Engine = "auto",
    ) -> None:
        """Check that it goes together.

        Args:
            model: what `load_model` returned.
            cache: how large, and what deals it out.
            setting: the list or forecast that it needs; its own caches are of no account here.
            name: what tables call it; `cache_name` where left out.
            score: what tells `oracle` and `persistence` the scores of a step.
            engine: as in `trace`; it must come to the fast one.

        Raises:
            InputError: a list or forecast of another model.
            UnsupportedModelError: a model that the fast engine does not run.
        """
        setting.check(model)
        self.model, self.name, self.cache = model, name or cache_name(cache), cache
        self._setting, self._score, self._engine = setting, as_score(score), fast_engine(model, engine)

    def answers(self, samples: Sequence[Sample], *, max_new_tokens: int | None = None) -> list[Answer]:
        return answer_samples(self.model, samples, self._begin, max_new_tokens)

    def log_probs(self, tokens: Int[Tensor, " pos"]) -> Float[Tensor, "pos vocab"]:
        half = len(tokens) // 2
        if not half:
            return whole_log_probs(self.model, tokens)
        steps = self._begin([text_sample(tokens[:half])])
        return torch.cat([whole_log_probs(self.model, tokens[:half])[:-1], forced_log_probs(tokens[half - 1 :], lambda _: steps)])

    def _begin(self, samples: Sequence[Sample]) -> "BudgetSteps":
        setting, heads = self._setting, (self.model.n_heads, shape_of(self.model.twin).n_kv_heads)
        rows = []
        for sample in samples:
            how = Allotment.of_prompt(self.cache.fraction, len(sample), beta=setting.beta, window=setting.window, kernel=setting.kernel)
            fixed = setting.fixed(self.cache, self.model, sample)
            rows.append(CacheRow(sample, self.cache, how, orders_of(self.model, sample, how.window), fixed, heads))
        state = self._engine.prefill([sample.tokens[:-1] for sample in samples])
        room = self.model.n_ctx - min(map(len, samples))
        return BudgetSteps(BudgetRows(self._engine, state, rows, Telling(self._score, setting.forecast), room), self.cache)


class BudgetSteps:
    """`BudgetRows` as the loops of `mechdyn.improve.stepping` take them."""

    def __init__(self, rows: BudgetRows, cache: CacheShare) -> None:
        self._rows, self._cache = rows, cache
        self._held: dict[int, float] = {}

    def step(self, tokens: Int[Tensor, " row"], given: Int[Tensor, " row"] | None = None) -> Float[Tensor, "row vocab"]:
        logits = self._rows.step(tokens, given).logits
        self._held |= {len(row.sample): row.held for row in self._rows.rows if row.seen is not None}
        return logits

    def select(self, rows: Sequence[int]) -> None:
        self._rows.select(rows)

    def positions(self, n_prompt: int, n_new: int) -> int:
        """What a cache must hold: all of the prompt where a dropped key may come back, else what the heads of a group keep together."""
        whole = self._cache.reversible and self._cache.source in FOLLOWING
        return n_new + (n_prompt if whole else round(self._held.get(n_prompt, n_prompt)))
