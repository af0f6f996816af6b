"""mechdyn's own strategies: the five configurations of section 5.3, the oracle, and the whole context."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from jaxtyping import Float

from mechdyn.errors import InputError
from mechdyn.heads import Head, HeadSet, RankedHeads
from mechdyn.probes.probe import Probe
from mechdyn.probes.storage import require_model
from mechdyn.rag.calls import Seen
from mechdyn.rag.strategy import MADE_BY_RUNS, STRATEGIES, DirectStrategy, HeadStrategy, Strategy, field_names, strategy
from mechdyn.rag.visibility import Context
from mechdyn.rag.windows import Span
from mechdyn.registry import make, parse_spec
from mechdyn.tasks.sample import Sample
from mechdyn.tensors import Tensor, torch

N_HEADS = 5
"""Heads that a strategy chooses (5.3)."""
DYNAMIC, ORACLE, STATIC = "dynamic", "oracle", "static"
DYNAMIC_RANDOM, FIXED_RANDOM = "dynamic-random", "fixed-random"
NO_CONTEXT, FULL_CONTEXT = "no-context", "full-context"
OWN = (DYNAMIC, ORACLE, STATIC, DYNAMIC_RANDOM, FIXED_RANDOM, NO_CONTEXT, FULL_CONTEXT)
"""mechdyn's own strategies in the order of tables; a run takes these where it is asked for none."""


@strategy(DYNAMIC)
@dataclass(frozen=True, eq=False)
class ProbedHeads(HeadStrategy):
    """The heads that a probe of the final hidden state scores highest for the step to come."""

    about: ClassVar[str] = "the probe's top heads"
    needs: ClassVar[tuple[str, ...]] = ("probe", "n")
    probe: Probe
    n: int = N_HEADS

    def __post_init__(self) -> None:
        if self.probe.offset != 0:
            raise InputError(
                f"dynamic RAG asks for heads of the step itself, the probe predicts {self.probe.offset} steps ahead; fit one at offset 0"
            )

    def heads(self, seen: Seen, sample: str, round: int) -> HeadSet:
        return top_heads(self.probe.predict(seen.hidden[None])[0], self.n)

    def check(self, model: Mapping[str, Any], sample: Sample) -> None:
        require_model(self.probe, model)
        _check_number(self.n, model)


@strategy(ORACLE)
@dataclass(frozen=True)
class OracleHeads(HeadStrategy):
    """The heads that attend most to the supporting facts at the step to come (Eq. 2), for which the facts must be known."""

    about: ClassVar[str] = "the top heads by Eq. 2"
    needs: ClassVar[tuple[str, ...]] = ("n",)
    n: int = N_HEADS

    def heads(self, seen: Seen, sample: str, round: int) -> HeadSet:
        return top_heads(seen.scores, self.n)

    def check(self, model: Mapping[str, Any], sample: Sample) -> None:
        _check_number(self.n, model)
        if not len(sample.needle_positions):
            raise InputError("the oracle ranks heads by their attention to the supporting facts, and this sample has none; leave it out")


@strategy(STATIC)
@dataclass(frozen=True)
class StaticHeads(HeadStrategy):
    """The same heads always: the first of a ranking that was made from other samples."""

    about: ClassVar[str] = "the top heads of a detection set"
    needs: ClassVar[tuple[str, ...]] = ("ranking", "n")
    ranking: RankedHeads
    n: int = N_HEADS

    def heads(self, seen: Seen, sample: str, round: int) -> HeadSet:
        return self.ranking.top(self.n)

    def check(self, model: Mapping[str, Any], sample: Sample) -> None:
        shape = (self.ranking.n_layers, self.ranking.n_heads)
        if shape != (model["n_layers"], model["n_heads"]):
            raise InputError(
                f"the static heads are of a model of {shape[0]} layers x {shape[1]} heads, this one has {model['n_layers']} x "
                f"{model['n_heads']}; rank heads on this model"
            )
        _check_number(self.n, model)


@strategy(DYNAMIC_RANDOM)
@dataclass(frozen=True)
class FreshRandomHeads(HeadStrategy):
    """Heads drawn from all of the model's, afresh at each retrieval; sample, round and seed decide which."""

    about: ClassVar[str] = "random heads, drawn at each retrieval"
    needs: ClassVar[tuple[str, ...]] = ("n", "seed")
    n: int = N_HEADS
    seed: int = 0

    def heads(self, seen: Seen, sample: str, round: int) -> HeadSet:
        return _draw(f"rag-{self.seed}-{sample}-{round}", self.n, seen)

    def check(self, model: Mapping[str, Any], sample: Sample) -> None:
        _check_number(self.n, model)


@strategy(FIXED_RANDOM)
@dataclass(frozen=True)
class FixedRandomHeads(HeadStrategy):
    """Heads drawn from all of the model's, once for a whole answer; sample and seed decide which."""

    about: ClassVar[str] = "random heads, drawn once an answer"
    needs: ClassVar[tuple[str, ...]] = ("n", "seed")
    n: int = N_HEADS
    seed: int = 0

    def heads(self, seen: Seen, sample: str, round: int) -> HeadSet:
        return _draw(f"rag-{self.seed}-{sample}", self.n, seen)

    def check(self, model: Mapping[str, Any], sample: Sample) -> None:
        _check_number(self.n, model)


@strategy(NO_CONTEXT)
@dataclass(frozen=True)
class NoContext(DirectStrategy):
    """One answer without any of the context: the paper's "w/o RAG"."""

    about: ClassVar[str] = "no context (w/o RAG)"

    def shown(self, context: Context) -> tuple[Span, ...]:
        return ()


@strategy(FULL_CONTEXT)
@dataclass(frozen=True)
class FullContext(DirectStrategy):
    """One answer with all of the context visible: plain generation."""

    about: ClassVar[str] = "all of the context"

    def shown(self, context: Context) -> tuple[Span, ...]:
        return context.whole


def make_strategy(
    text: str, *, n: int = N_HEADS, seed: int = 0, probe: Probe | None = None, ranking: RankedHeads | None = None
) -> Strategy:
    """The strategy of a name, with its options and with what it needs.

    Args:
        text: `name` or `name:option=value,option=value`.
        n: heads that a strategy chooses.
        seed: of strategies that draw at random.
        probe: for `dynamic`, of offset 0, fitted on samples that share none with those it is run on.
        ranking: for `static`, likewise from other samples.

    Raises:
        InputError: an unknown name, an option that the strategy does not have, or one whose probe or ranking is not given.
    """
    name, kind, options = _parsed(text)
    inputs = {"n": n, "seed": seed, "probe": probe, "ranking": ranking}
    given = {need: inputs[need] for need in kind.needs}
    for need in given:
        if given[need] is None:
            raise InputError(
                f"the strategy {name} needs {MADE_BY_RUNS[need]}, got none; make one from other samples, or leave the strategy out"
            )
    return make("RAG strategy", name, partial(kind, **given), options)


def check_strategy(text: str) -> tuple[str, ...]:
    """What a strategy needs from a run; refuses a name or an option that does not exist before the run makes it.

    Raises:
        InputError: as `make_strategy`.
    """
    _, kind, _ = _parsed(text)
    if not MADE_BY_RUNS.keys() & set(kind.needs):
        make_strategy(text)
    return kind.needs


def about(condition: str) -> str:
    """Some words on the strategy that a condition is called by; empty where it is called otherwise or the strategy is not installed."""
    name = condition.partition(":")[0]
    return STRATEGIES.get(name).about if name in STRATEGIES.names() else ""


def _parsed(text: str) -> tuple[str, type[Strategy], dict[str, Any]]:
    name, options = parse_spec(text)
    kind = STRATEGIES.get(name)
    known = [field for field in field_names(kind) if not (field in kind.needs and field in MADE_BY_RUNS)]
    for option in options:
        if option not in known:
            raise InputError(f"the strategy {name} has no option {option!r}; it has {', '.join(known) or 'none'}")
    return name, kind, options


def table_order(strategies: Iterable[str]) -> tuple[str, ...]:
    """Strategies as tables have them: mechdyn's own first, then others in the order given; a text that comes twice is taken once."""

    def place(text: str) -> int:
        name = text.partition(":")[0]
        return OWN.index(name) if name in OWN else len(OWN)

    return tuple(sorted(dict.fromkeys(strategies), key=place))


def top_heads(scores: Float[Tensor, "layer head"], n: int) -> HeadSet:
    """The `n` heads of the highest score, ties by (layer, head)."""
    check_number(n, scores.numel())
    order = torch.argsort(scores.flatten(), descending=True, stable=True)[:n].tolist()
    return HeadSet.of([Head(*divmod(index, scores.shape[1])) for index in order], *scores.shape)


def check_number(n: int, n_total: int) -> None:
    """Refuse a number of heads that the model does not have."""
    if not isinstance(n, int) or not 0 < n <= n_total:
        raise InputError(f"a strategy chooses between 1 and {n_total} heads (those of the model), got {n}")


def _check_number(n: int, model: Mapping[str, Any]) -> None:
    check_number(n, model["n_layers"] * model["n_heads"])


def _draw(seed: str, n: int, seen: Seen) -> HeadSet:
    n_layers, n_heads = seen.scores.shape
    chosen = random.Random(seed).sample(range(n_layers * n_heads), n)
    return HeadSet.of([divmod(index, n_heads) for index in chosen], n_layers, n_heads)
