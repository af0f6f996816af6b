"""Decode steps in which each row has a cache of its own: who is dealt what at a step, and what a head then sees of its prompt."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechdyn.decoding.context import KeyContext, score_step
from mechdyn.decoding.engine import DecodeState, Engine, StepOutput
from mechdyn.improve.budgets.allocation import Allotment, budgets
from mechdyn.improve.budgets.positions import by_group, kept, to_heads, union
from mechdyn.probes.forecast import Forecast
from mechdyn.scores.score import Score
from mechdyn.tasks.sample import Sample
from mechdyn.traces.budgets import ECHO, FORECAST, KV, ORACLE, PERSISTENCE, CacheShare

Scores = Float[Tensor, "layer head"]
Orders = Callable[[Allotment, str], Int[Tensor, "layer head rival"]]
"""Each position's place in its head's order (`places`), for a budget of query heads or of key-value heads."""


class CacheRow:
    """One row's cache: its orders of positions, and what of the prompt each head saw last."""

    def __init__(
        self,
        sample: Sample,
        cache: CacheShare,
        how: Allotment,
        orders: Orders,
        fixed: Scores | None,
        heads: tuple[int, int],
    ) -> None:
        """A cache of which nothing is seen yet.

        Args:
            sample: whose prompt it holds.
            cache: what deals its budget out.
            how: the budget.
            orders: the positions of this prompt, ranked.
            fixed: the scores of a source that does not follow the step; None of one that does.
            heads: query heads and key-value heads a layer.
        """
        self.sample, self.cache, self.how = sample, cache, how
        self._n_heads, self.n_kv_heads = heads
        self._order = orders(how, cache.per)
        self._fixed = None if fixed is None else self._seen(fixed)
        self.seen: Bool[Tensor, "layer head pos"] | None = None
        self.back = 0.0

    @property
    def held(self) -> float:
        """Positions of the prompt that a key-value head must have for what was seen last."""
        assert self.seen is not None
        shape = union(self.seen, self.n_kv_heads)
        return float(shape.sum()) / (shape.shape[0] * shape.shape[1])

    def deal(self, scores: Scores | None) -> Bool[Tensor, "layer head pos"]:
        """What each head sees of the prompt at the next step; `scores` are those of a source that follows the step."""
        now = self._fixed
        if now is None:
            assert scores is not None
            now = self._seen(scores)
        before, self.back = self.seen, 0.0
        if before is not None and self._fixed is None:
            now = now if self.cache.reversible else now & before
            new = union(now, self.n_kv_heads) & ~union(before, self.n_kv_heads)
            self.back = float(new.sum()) / (new.shape[0] * new.shape[1])
        self.seen = now
        return now

    def _seen(self, scores: Scores) -> Bool[Tensor, "layer head pos"]:
        own = by_group(scores, self.n_kv_heads, "max") if self.cache.per == KV else scores
        budget = budgets(own, self.how, self._order.shape[-1])
        seen = kept(self._order, budget, self.how.window)
        return to_heads(seen, self._n_heads) if self.cache.per == KV else seen


@dataclass(frozen=True, eq=False)
class Telling:
    """What tells the scores of a step: the retrieval score, and a forecast where a row asks for one."""

    score: Score
    forecast: Forecast | None = None


class BudgetRows:
    """A batch of rows behind their prompts, less each one's last token; the first step sees everything, the others what is dealt."""

    def __init__(self, engine: Engine, state: DecodeState, rows: Sequence[CacheRow], telling: Telling, n_new: int) -> None:
        self.rows = list(rows)
        self._engine, self._state, self._telling = engine, state, telling
        self._context = KeyContext.of([row.sample for row in rows], state, n_new)
        self._told: list[Scores | None] = [None] * len(self.rows)
        self._first = True

    def step(self, tokens: Int[Tensor, " row"], given: Int[Tensor, " row"] | None = None) -> StepOutput:
        """Feed a token to each row; `given` are the tokens that come next where the step's own do not."""
        self._context = self._context.append(tokens)
        state = self._state
        if not self._first:
            self._observe(state, tokens)
            state = replace(state, evicted=self._evicted(state))
        output, after = self._engine.step(state, tokens)
        self._state, self._first = replace(after, evicted=None), False
        self._tell(output, output.logits.argmax(dim=-1).cpu() if given is None else given)
        return output

    def select(self, rows: Sequence[int]) -> None:
        """Go on with some of the rows."""
        chosen = list(rows)
        self._state, self._context = self._engine.fork(self._state, chosen), self._context.select(chosen)
        self.rows, self._told = [self.rows[row] for row in chosen], [self._told[row] for row in chosen]

    def _evicted(self, state: DecodeState) -> Bool[Tensor, "row layer head pos"]:
        """The prompt's last token is fed, and seen by all; the others lie where the state has them."""
        masks = []
        for row, scores, visible in zip(self.rows, self._told, state.prompt_visible.bool().cpu(), strict=True):
            seen = row.deal(scores)
            mask = torch.zeros(*seen.shape[:2], len(visible), dtype=torch.bool)
            mask[..., visible] = ~seen[..., :-1]
            masks.append(mask)
        return torch.stack(masks)

    def _observe(self, state: DecodeState, tokens: Int[Tensor, " row"]) -> None:
        """The oracle's rows: a forward of the same step that sees the whole cache."""
        asked = self._asking(ORACLE)
        if asked:
            output, _ = self._engine.step(self._engine.fork(state, asked), tokens[asked])
            self._keep(asked, self._score(output, asked, output.logits.argmax(dim=-1)))

    def _tell(self, output: StepOutput, following: Int[Tensor, " row"]) -> None:
        """What this step says about the next one."""
        if asked := self._asking(PERSISTENCE):
            self._keep(asked, self._score(_some(output, asked, following), asked, following[asked].to(output.logits.device)))
        if asked := self._asking(ECHO):
            self._keep(asked, self._echo(output, asked, following))
        if asked := self._asking(FORECAST):
            assert self._telling.forecast is not None
            self._keep(asked, self._telling.forecast(output.hidden[asked]).clamp(min=0.0))

    def _score(self, output: StepOutput, asked: list[int], predicted: Int[Tensor, " asked"]) -> Float[Tensor, "asked layer head"]:
        return score_step(output, predicted, self._context.select(asked), self._telling.score).clamp(min=0.0)

    def _echo(self, output: StepOutput, asked: list[int], following: Int[Tensor, " row"]) -> Float[Tensor, "asked layer head"]:
        """Attention on those tokens of the prompt that equal the one which the step gives."""
        n_prompt = self._state.prompt_visible.shape[1] + 1
        context = self._context.select(asked)
        like = (context.tokens == following[asked].to(context.tokens.device)[:, None]) & context.visible
        like[:, n_prompt:] = False
        rows = [torch.where(like[:, None].to(pattern.device), pattern[asked].float(), 0.0).sum(dim=-1).cpu() for pattern in output.patterns]
        return torch.stack(rows, dim=1)

    def _asking(self, source: str) -> list[int]:
        return [index for index, row in enumerate(self.rows) if row.cache.source == source]

    def _keep(self, asked: list[int], scores: Float[Tensor, "asked layer head"]) -> None:
        for index, row in zip(asked, scores, strict=True):
            self._told[index] = row


def _some(output: StepOutput, rows: list[int], following: Int[Tensor, " row"]) -> StepOutput:
    """What a step gave for some of the rows; what heads write is told for the tokens that follow."""
    tell = output.writes
    writes = None if tell is None else lambda layer, _: tell(layer, following.to(output.logits.device))[rows]
    patterns = tuple(pattern[rows] for pattern in output.patterns)
    return StepOutput(output.logits[rows], patterns, output.hidden[rows], writes=writes)
