"""What a strategy of dynamic RAG is. Here is the door for a strategy of one's own.

A strategy decides which parts of the context the model may see. There are three kinds, a base class each:

- `HeadStrategy` chooses attention heads at each retrieval, and what these attend to is shown (Algorithm 2);
- `WindowStrategy` chooses the parts of the context itself at each retrieval, as a text search does; no forward pass is spent on it;
- `DirectStrategy` chooses once, before the answer is begun, and nothing is retrieved: none of the context, or all of it.

A strategy is a frozen dataclass of one of these kinds under `@strategy("name")`. Its fields are its options, so that
`--strategy name:option=value` sets them. Docs, "Dynamic RAG", has a worked example.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, ClassVar, TypeVar

from mechdyn.errors import InputError
from mechdyn.heads import HeadSet
from mechdyn.rag.calls import Seen
from mechdyn.rag.options import RagOptions
from mechdyn.rag.visibility import Context
from mechdyn.rag.windows import Span
from mechdyn.registry import Registry
from mechdyn.tasks.sample import Sample

MADE_BY_RUNS: Mapping[str, str] = {"probe": "a probe", "ranking": "ranked heads"}
"""What a run makes from other samples for the strategies that need it, and how messages call it."""
INPUTS = ("n", "seed", *MADE_BY_RUNS)
"""What a strategy may need from a run: the number of heads to choose, the seed, and what runs make."""


class Strategy:
    """What all three kinds have in common."""

    about: ClassVar[str] = ""
    """Some words that tables and pages show behind the name."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Fields that the run fills in where no option does: some of `INPUTS`."""

    def check(self, model: Mapping[str, Any], sample: Sample) -> None:
        """Refuse a model (given by its identity) or a sample that the strategy cannot be used on, before anything is run.

        Most strategies take everything, so that nothing is refused here.

        Raises:
            InputError: says what is missing and what to do.
        """


class HeadStrategy(Strategy, ABC):
    """Chooses heads, whose attention on the context then decides what is shown."""

    @abstractmethod
    def heads(self, seen: Seen, sample: str, round: int) -> HeadSet:
        """The heads of one retrieval.

        Args:
            seen: what the model shows at the position that generates the next token, the whole context visible.
            sample: the sample's key.
            round: how many rounds of this answer came before.
        """


@dataclass(frozen=True)
class Condition:
    """A strategy and the numbers it runs with."""

    strategy: Strategy
    options: RagOptions = field(default_factory=RagOptions)


@dataclass(frozen=True, eq=False)
class Retrieval:
    """What a `WindowStrategy` is told at a retrieval."""

    context: Context
    """The sample (`context.sample`), the context's text (`context.passage`), and which tokens it consists of."""
    kept: str
    """The answer so far."""
    flagged: str
    """The sentence of the draft that needs the context and will be written anew: a guess of the model, and a query to search with."""
    round: int
    """How many rounds of this answer came before."""
    options: RagOptions
    """The numbers of this run; `k` and `window` are those of Algorithm 2, which a strategy may use for its own."""


class WindowStrategy(Strategy, ABC):
    """Chooses the parts of the context to show by itself."""

    @abstractmethod
    def windows(self, retrieval: Retrieval) -> Sequence[Span]:
        """Token spans of the prompt, each inside the context, in any order; nothing of the context is shown where there are none.

        `retrieval.context.token_spans` turns characters of the context's text into them.
        """


class DirectStrategy(Strategy, ABC):
    """Answers in one go, without a draft and without a retrieval."""

    @abstractmethod
    def shown(self, context: Context) -> Sequence[Span]:
        """Token spans of the prompt, inside the context, that are visible to the whole answer."""


KINDS = (HeadStrategy, WindowStrategy, DirectStrategy)
Kind = TypeVar("Kind", bound=type[Strategy])
STRATEGIES: Registry[type[Strategy]] = Registry("RAG strategy", "mechdyn.rag.strategies")
"""All strategies by name: mechdyn's own, and those of installed packages."""


def strategy(name: str) -> Callable[[Kind], Kind]:
    """Register the frozen dataclass that follows as the strategy of that name.

    Raises:
        InputError: a class of no kind, one that is no dataclass, needs that a run does not know, or a name that is taken.
    """

    def register(kind: Kind) -> Kind:
        is_kind, has_fields = issubclass(kind, KINDS), is_dataclass(kind)
        if not (is_kind and has_fields):
            kinds = ", ".join(each.__name__ for each in KINDS)
            raise InputError(f"the RAG strategy {name!r} must be a frozen dataclass derived from one of {kinds}, got {kind.__name__}")
        unknown = [need for need in kind.needs if need not in INPUTS or need not in field_names(kind)]
        if unknown:
            raise InputError(
                f"the RAG strategy {name!r} says it needs {unknown[0]!r}; a need is one of {', '.join(INPUTS)}, and a field of the class"
            )
        STRATEGIES.register(name, kind)
        return kind

    return register


def field_names(kind: type[Strategy]) -> tuple[str, ...]:
    """The fields of a strategy."""
    declared: Any = kind  # a dataclass, which a protocol cannot say
    return tuple(field.name for field in fields(declared) if field.init)
