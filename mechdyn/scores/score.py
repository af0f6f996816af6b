"""What a retrieval score is, and scores by name.

A score is a function of one attention row a head, the tokens that the row runs over and the needle. Decorated with `@score("name")` it has
a name that the command line, a unit and a store can hold.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from jaxtyping import Bool, Float, Int

from mechdyn.errors import InputError
from mechdyn.registry import Registry, make, parse_spec
from mechdyn.scores.counting import Counting
from mechdyn.scores.prompt import PROMPT_SCORES
from mechdyn.tensors import Tensor, torch


@dataclass(frozen=True)
class StepContext:
    """What one step's attention rows run over, for every row of a batch (a row is one sample under one condition).

    `tokens`, `needle` and `visible` have one entry for each key position: the token there, whether it is the needle's, and whether it is a
    token at all and not padding. `predicted` is the token that the step's logits give the highest value, the ŷ of Eq. 1. `writes` computes
    what `written` gives, for scores that ask.
    """

    tokens: Int[Tensor, "row key"]
    needle: Bool[Tensor, "row key"]
    visible: Bool[Tensor, "row key"]
    predicted: Int[Tensor, " row"]
    writes: Callable[[], Float[Tensor, "row head key"]] | None = None

    def written(self, score: str) -> Float[Tensor, "row head key"]:
        """(W_O v_j) · u_ŷ: what each head of the layer adds to the predicted token's logit for each unit of attention to a key.

        v_j is the value at key j (of the head's group where heads share them), W_O the head's part of the output projection, u_ŷ the
        token's row of the unembedding; final norm and post-norms are left out. Times the attention, summed over keys, it is (W_O z) · u_ŷ.

        Args:
            score: who asks, for the message.

        Raises:
            InputError: there are no values, as in a row made by hand, or from an engine that does not give them.
        """
        if self.writes is None:
            raise InputError(f"the score {score!r} needs what heads write, which attention rows do not tell; give writes= beside them")
        return self.writes()

    @classmethod
    def one(
        cls,
        tokens: Sequence[int] | Tensor,
        needle_positions: Sequence[int] | Tensor,
        predicted: int | Tensor,
        writes: Float[Tensor, "head key"] | None = None,
    ) -> "StepContext":
        """The context of a single row without padding.

        Args:
            tokens: the token at every key position.
            needle_positions: the key positions of the needle's tokens; they may be none.
            predicted: the token that the step generates.
            writes: what `written` gives, for scores that ask.

        Raises:
            InputError: no token, or a needle position outside the row.
        """
        row = torch.as_tensor(tokens, dtype=torch.long)
        places = torch.as_tensor(needle_positions, dtype=torch.long)
        if row.dim() != 1 or len(row) == 0:
            raise InputError(f"the tokens of one row are a list of at least one token id, got a shape of {tuple(row.shape)}")
        outside = [place for place in places.flatten().tolist() if not 0 <= place < len(row)]
        if outside:
            raise InputError(f"needle positions lie between 0 and {len(row) - 1} (the row has {len(row)} tokens), got {outside[0]}")
        needle = torch.zeros(len(row), dtype=torch.bool)
        needle[places.flatten()] = True
        given = None if writes is None else lambda: writes[None]
        return cls(row[None], needle[None], torch.ones_like(needle)[None], torch.as_tensor(predicted, dtype=torch.long).reshape(1), given)


@runtime_checkable
class Score(Protocol):
    """Scores of every head of one layer at one step, from the attention pattern of the step's query position."""

    def __call__(self, pattern: Float[Tensor, "row head key"], context: StepContext) -> Float[Tensor, "row head"]: ...


@dataclass(frozen=True)
class NamedScore:
    """A score as a unit names it; a score itself, which checks the shape of what it gets back.

    `spec` is JSON and complete (`{"name": "reasoning", "sink": 4, "local": 32}`), so that two ways to ask for the same score hash alike;
    `threshold` is what a head's score must be above for the head to count as retrieving, unless the caller chooses another. A `binary`
    score gives 0 and 1 only, which a store packs more tightly. `counting` says how heads are ranked by it.
    """

    spec: Mapping[str, Any]
    score: Score
    threshold: float
    binary: bool = False
    counting: Counting = field(default_factory=Counting)

    @property
    def name(self) -> str:
        """The score's name, without its options."""
        return str(self.spec["name"])

    @property
    def short(self) -> str | dict[str, Any]:
        """The spec as units hold it: the name alone where there are no options."""
        return self.name if len(self.spec) == 1 else dict(self.spec)

    def __call__(self, pattern: Float[Tensor, "row head key"], context: StepContext) -> Float[Tensor, "row head"]:
        """The scores of one layer's heads.

        Raises:
            InputError: the score returns anything but a number for each row and head.
        """
        found = self.score(pattern, context)
        n_rows, n_heads, _ = pattern.shape
        if not isinstance(found, Tensor) or tuple(found.shape) != (n_rows, n_heads):
            came = f"a tensor of shape {tuple(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
            raise InputError(f"the score {self.name!r} must return a tensor of rows x heads ({n_rows} x {n_heads}), got {came}")
        return found.float()


ScoreLike: TypeAlias = str | Mapping[str, Any] | Score | NamedScore
"""A score however it is asked for; `as_score` reads it."""
SCORES: Registry[Any] = Registry("score", "mechdyn.scores")
Registered = TypeVar("Registered", bound=Callable[..., Any])


@dataclass(frozen=True)
class _Traits:
    threshold: float
    binary: bool
    counting: Counting


_TRAITS: dict[str, _Traits] = {}


def score(
    name: str, *, threshold: float = 0.0, binary: bool = False, counting: Counting | None = None
) -> Callable[[Registered], Registered]:
    """Give a score a name: `@score("name")` above a function, or above a frozen dataclass whose fields are the score's options.

    Args:
        name: what the command line, units and stores call it.
        threshold: a head retrieves where its score is above this, unless the caller chooses another.
        binary: whether it gives 0 and 1 only.
        counting: how heads are ranked by it; by its mean over the steps of all samples that the task counts as right when left out.

    Raises:
        InputError: a name that another score has, or a class that is no frozen dataclass of options.
    """

    def register(thing: Registered) -> Registered:
        if isinstance(thing, type):
            _check_options(thing)
        SCORES.register(name, thing)
        _TRAITS[name] = _Traits(float(threshold), binary, counting or Counting())
        return thing

    return register


def as_score(what: ScoreLike) -> NamedScore:
    """The score that is asked for, with its name, options, threshold and whether it is binary.

    A score that nobody registered gets the threshold 0 and is named by its module and name there, with its fields where it is a dataclass;
    functions of one module and name thus count as one score.

    Args:
        what: a name with or without options (`"reasoning:sink=2,local=0"`), a mapping (`{"name": "reasoning", "sink": 2}`), a score
            function or a dataclass instance of one, or what this function returned.

    Raises:
        InputError: an unknown name, options that the score does not have, or something that is no score.
    """
    if isinstance(what, NamedScore):
        return what
    if isinstance(what, str):
        return _named(*parse_spec(what))
    if isinstance(what, Mapping):
        options = dict(what)
        name = options.pop("name", None)
        if not isinstance(name, str):
            raise InputError(f"a score is written as {{'name': ..., option: value}}, got {dict(what)!r}")
        return _named(name, options)
    if isinstance(what, type):
        raise InputError(f"a score is wanted, got the class {what.__name__}; make one of it, such as {what.__name__}()")
    if not callable(what):
        raise InputError(f"a score is a name, a mapping or a function of pattern and context, got {type(what).__name__}")
    return _of_object(what)


def score_row(
    score: ScoreLike,
    pattern: Float[Tensor, "head key"],
    tokens: Sequence[int] | Tensor,
    needle_positions: Sequence[int] | Tensor,
    predicted: int | Tensor,
    writes: Float[Tensor, "head key"] | None = None,
) -> Float[Tensor, " head"]:
    """The score of each head for one attention row a head, to check a score against what you work out by hand.

    Args:
        score: anything that `as_score` reads.
        pattern: the attention of each head over the key positions.
        tokens: the token at every key position.
        needle_positions: the key positions of the needle's tokens.
        predicted: the token that the step generates.
        writes: what each head adds to that token's logit for each unit of attention to a key (`StepContext.written`), for scores that ask.
    """
    context = StepContext.one(tokens, needle_positions, predicted, writes)
    if pattern.shape[-1] != context.tokens.shape[1]:
        raise InputError(
            f"the attention runs over {pattern.shape[-1]} positions and there are {context.tokens.shape[1]} tokens; give one each"
        )
    return as_score(score)(pattern[None], context)[0]


def _named(name: str, options: Mapping[str, Any]) -> NamedScore:
    registered = _registered(name)
    known = [field.name for field in fields(registered)] if isinstance(registered, type) else []
    unknown = [option for option in options if option not in known]
    if unknown:
        has = f"its options are {', '.join(known)}" if known else "it has none"
        raise InputError(f"score {name!r} does not take the options {dict(options)}: {has}")
    made = make("score", name, registered, dict(options)) if isinstance(registered, type) else registered
    return _with_traits(name, made)


def _registered(name: str) -> Any:
    try:
        return SCORES.get(name)
    except InputError:
        if name in PROMPT_SCORES.names():
            raise InputError(
                f"{name} scores heads on a prompt and marks no step; rank heads by it: mechdyn heads detect --score {name}"
            ) from None
        raise


def _of_object(what: Any) -> NamedScore:
    """A function, or an instance of a class of options, registered or not."""
    kind = what if hasattr(what, "__qualname__") else type(what)
    name = SCORES.named(kind)
    if name is not None:
        return _with_traits(name, what)
    return NamedScore(_spec(f"{kind.__module__}.{kind.__qualname__}", what), what, 0.0)


def _with_traits(name: str, made: Any) -> NamedScore:
    traits = _TRAITS[name]
    return NamedScore(_spec(name, made), made, traits.threshold, traits.binary, traits.counting)


def _spec(name: str, made: Any) -> dict[str, Any]:
    spec = {"name": name, **(asdict(made) if is_dataclass(made) and not isinstance(made, type) else {})}
    try:
        json.dumps(spec, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"the options of score {name!r} must be JSON values, since they name it in what is stored: {error}") from error
    return spec


def _check_options(kind: type) -> None:
    params = getattr(kind, "__dataclass_params__", None)
    if params is None or not params.frozen:
        raise InputError(f"a score with options is a frozen dataclass, got the class {kind.__name__}; its fields are what a unit records")
    if not any("__call__" in vars(base) for base in kind.__mro__):
        raise InputError(f"the score {kind.__name__} has no __call__(self, pattern, context); that is where the scores come from")
    if any(field.name == "name" for field in fields(kind)):
        raise InputError(f"the score {kind.__name__} has an option called 'name', which is where its own name stands; call it otherwise")
