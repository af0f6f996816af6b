"""Sets of heads, and the ways to name heads."""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from mechdyn.errors import InputError
from mechdyn.heads.head import Head, shown
from mechdyn.heads.shape import check_fit, check_head, check_shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class HeadSet:
    """Heads, of a model with `n_layers` layers of `n_heads` heads each where that is known.

    Sets of unknown shape go with sets of any; two known shapes must be the same.
    """

    heads: frozenset[Head]
    n_layers: int | None = None
    n_heads: int | None = None

    def __post_init__(self) -> None:
        check_shape(self.n_layers, self.n_heads)
        for head in self.heads:
            check_head(head, self.n_layers, self.n_heads)

    @classmethod
    def of(cls, heads: "Heads", n_layers: int | None = None, n_heads: int | None = None) -> "HeadSet":
        """A set from heads, (layer, head) pairs or names such as `L4H7`; see `heads`."""
        return cls(frozenset(each_head(heads)), n_layers, n_heads)

    @classmethod
    def from_mask(cls, mask: "Tensor") -> "HeadSet":
        """The heads at which `mask`, of bools by (layer, head), is true."""
        heads = (Head(int(layer), int(head)) for layer, head in mask.nonzero().tolist())
        return cls(frozenset(heads), mask.shape[0], mask.shape[1])

    def fit(self, n_layers: int, n_heads: int) -> "HeadSet":
        """The same heads, of a model with this shape.

        Raises:
            InputError: they are of a model of another shape, or one of them lies outside this one.
        """
        check_fit((self.n_layers, self.n_heads), n_layers, n_heads)
        return HeadSet(self.heads, n_layers, n_heads)

    def mask(self) -> "Tensor":
        """A tensor of bools by (layer, head), true where a head is in the set.

        Raises:
            InputError: the model's shape is not known.
        """
        if self.n_layers is None or self.n_heads is None:
            raise InputError(f"the heads {self} are of no model yet, so there is no mask; call .fit(model.n_layers, model.n_heads) first")
        import torch  # what reads and compares lists of heads does without it

        mask = torch.zeros(self.n_layers, self.n_heads, dtype=torch.bool)
        for layer, head in self.heads:
            mask[layer, head] = True
        return mask

    def jaccard(self, other: "HeadSet") -> float:
        """|A ∩ B| / |A ∪ B|; NaN where both are empty."""
        union = len(self.heads | other.heads)
        return len(self.heads & other.heads) / union if union else float("nan")

    def __or__(self, other: "HeadSet") -> "HeadSet":
        return self._combine(other, frozenset.union)

    def __and__(self, other: "HeadSet") -> "HeadSet":
        return self._combine(other, frozenset.intersection)

    def __sub__(self, other: "HeadSet") -> "HeadSet":
        return self._combine(other, frozenset.difference)

    def _combine(self, other: "HeadSet", how: Callable[[frozenset[Head], frozenset[Head]], frozenset[Head]]) -> "HeadSet":
        if not self._goes_with(other):
            raise InputError(
                f"sets of heads of one model go together, got models of {self.n_layers} x {self.n_heads} and "
                f"{other.n_layers} x {other.n_heads} heads"
            )
        known = other if self.n_layers is None else self
        return HeadSet(how(self.heads, other.heads), known.n_layers, known.n_heads)

    def _goes_with(self, other: "HeadSet") -> bool:
        return None in (self.n_layers, other.n_layers) or (self.n_layers, self.n_heads) == (other.n_layers, other.n_heads)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HeadSet) and self.heads == other.heads and self._goes_with(other)

    def __hash__(self) -> int:
        return hash(self.heads)

    def __len__(self) -> int:
        return len(self.heads)

    def __iter__(self) -> Iterator[Head]:
        return iter(sorted(self.heads))

    def __contains__(self, head: Head | tuple[int, int]) -> bool:
        return Head(*head) in self.heads

    def __str__(self) -> str:
        return " ".join(str(head) for head in self) or "(no heads)"

    __repr__ = __str__


Heads: TypeAlias = HeadSet | Head | tuple[int, int] | str | Iterable[Head | Sequence[int] | str]
"""Heads however they are named; `heads` reads them."""


def heads(what: Heads, n_layers: int | None = None, n_heads: int | None = None) -> HeadSet:
    """Heads by name: `"L3H6 L4H1"`, with spaces or commas between; or a list of heads, (layer, head) pairs or names.

    Args:
        what: the heads, however they are named.
        n_layers: layers of the model, and `n_heads` heads a layer, where they are known already; `.fit` gives a set its shape later.
        n_heads: see `n_layers`.

    Raises:
        InputError: what is no head, or one outside the model; a ranking, of which it is not said how many heads are meant.
    """
    found = what if isinstance(what, HeadSet) else HeadSet.of(what)
    return found if n_layers is None or n_heads is None else found.fit(n_layers, n_heads)


def each_head(what: Any) -> Iterator[Head]:
    """Every head that is named."""
    if isinstance(what, str):
        yield from (Head.parse(name) for name in re.split(r"[\s,]+", what) if name)
    elif isinstance(what, Head) or (isinstance(what, tuple) and len(what) == 2 and all(isinstance(part, int) for part in what)):
        yield Head(*what)
    elif hasattr(what, "top"):  # a ranking; its module needs this one
        raise InputError(f"a set of heads is wanted, got a ranking of {len(what.heads)}; say how many are meant with .top(k)")
    elif isinstance(what, Iterable) and not hasattr(what, "device"):  # a tensor is no list of heads
        for each in what:
            if isinstance(each, str):
                yield from each_head(each)
            else:
                yield _pair(each)
    else:
        raise InputError(f"heads are written like 'L3H6 L4H1' or as a list of heads or (layer, head) pairs, got {shown(what)}")


def _pair(pair: Any) -> Head:
    try:
        layer, head = pair
        return Head(operator.index(layer), operator.index(head))
    except (TypeError, ValueError) as error:
        raise InputError(f"a head is written like L4H7 or (4, 7) (layer 4, head 7), got {shown(pair)}") from error
