"""Attention heads, sets of them, ranked lists, and the files that hold them.

`mechdyn.heads` is this module and, called, its function `heads`: `md.heads("L3H6 L4H1")`.
"""

import json
import logging
import math
import operator
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

from mechdyn.errors import InputError
from mechdyn.registry import Registry, make, parse_spec

if TYPE_CHECKING:
    from torch import Tensor

_log = logging.getLogger(__name__)
_PRINTED = re.compile(r"L([0-9]{1,9})H([0-9]{1,9})")
_LONGEST_SHOWN = 60


class Head(NamedTuple):
    """One attention head; both numbers count from 0. Prints as L4H7 and sorts by (layer, head)."""

    layer: int
    head: int

    def __str__(self) -> str:
        return f"L{self.layer}H{self.head}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Read `L4H7`."""
        match = _PRINTED.fullmatch(text.strip())
        if match is None:
            raise InputError(f"a head is written like L4H7 (layer 4, head 7), got {shown(text)}")
        return cls(int(match[1]), int(match[2]))


@dataclass(frozen=True, eq=False)
class HeadSet:
    """Heads, of a model with `n_layers` layers of `n_heads` heads each where that is known.

    Sets of unknown shape go with sets of any; two known shapes must be the same.
    """

    heads: frozenset[Head]
    n_layers: int | None = None
    n_heads: int | None = None

    def __post_init__(self) -> None:
        _check_shape(self.n_layers, self.n_heads)
        for head in self.heads:
            _check_head(head, self.n_layers, self.n_heads)

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
        _check_fit(self, n_layers, n_heads)
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


@dataclass(frozen=True)
class Spread:
    """How the scores of one head spread over samples.

    Attributes:
        n: how many samples.
        sd: sample standard deviation (n − 1); NaN where it is not known, or of one sample.
        values: the score of each sample, where a file has them all.
    """

    n: int
    sd: float
    values: tuple[float, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of all samples' scores."""
        n = len(values)
        mean = math.fsum(values) / n
        sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1)) if n > 1 else math.nan
        return cls(n, sd, tuple(values))


@dataclass(frozen=True)
class RankedHeads:
    """Heads in descending order of a score, ties by (layer, head): a static list is its first k.

    `statistic` says in words what the scores are, `model` whose heads these are, and `n` how many samples each score rests on, where that
    is known. The score of a list of which only the order is known is NaN. `spread` tells how each head's scores spread over the samples,
    where a file says it.
    """

    heads: tuple[Head, ...]
    scores: tuple[float, ...]
    n_layers: int | None = None
    n_heads: int | None = None
    statistic: str = ""
    model: str = ""
    n: int | None = None
    spread: tuple[Spread, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _check_shape(self.n_layers, self.n_heads)
        if len(self.heads) != len(self.scores):
            raise InputError(f"a ranking has a score a head, got {len(self.heads)} heads and {len(self.scores)} scores")
        if self.spread is not None and len(self.heads) != len(self.spread):
            raise InputError(f"a ranking has a spread a head or none, got {len(self.heads)} heads and {len(self.spread)} spreads")
        seen: set[Head] = set()
        for head in self.heads:
            _check_head(head, self.n_layers, self.n_heads)
            if head in seen:
                raise InputError(f"a ranking names each head once, got {head} twice")
            seen.add(head)

    def top(self, k: int) -> HeadSet:
        """The first `k` heads."""
        if not 0 < k <= len(self.heads):
            raise InputError(f"top-k needs 1 <= k <= {len(self.heads)} (the heads of the list), got {k}")
        return HeadSet(frozenset(self.heads[:k]), self.n_layers, self.n_heads)

    def first(self, k: int) -> "RankedHeads":
        """The ranking of the first `k` heads alone."""
        self.top(k)
        return replace(self, heads=self.heads[:k], scores=self.scores[:k], spread=self.spread and self.spread[:k])

    def fit(self, n_layers: int, n_heads: int) -> "RankedHeads":
        """The same ranking, of a model with this shape.

        Raises:
            InputError: it is of a model of another shape, or one of its heads lies outside this one.
        """
        _check_fit(self, n_layers, n_heads)
        return replace(self, n_layers=n_layers, n_heads=n_heads)

    def save(self, path: str | Path, format: str = "mechdyn") -> None:
        """Write the ranking to a file. What the format has no room for is left out, and the log says what that was.

        Args:
            path: where to; a file that is there is written over.
            format: the name of a head-file format, with options as `name:option=value`. `mechdyn` keeps everything, `wu` is the layout of
                Wu et al. 2024.

        Raises:
            InputError: an unknown format, one that cannot hold this ranking, or a path that cannot be written.
        """
        layout = layout_of(format)
        content = layout.write(self)
        try:
            if hasattr(layout, "write_beside"):
                layout.write_beside(self, Path(path))
            Path(path).write_text(content, encoding="utf-8")
        except (OSError, ValueError) as error:
            raise InputError(f"the heads cannot be written to {shown(path)}: {_reason(error)}") from error
        if missing := lost(self, read_heads(path, format)):
            _log.warning("the format %s does not keep: %s", format, ", ".join(missing))


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


def rank_heads(scores: Iterable[tuple[Head, float]], n_layers: int | None, n_heads: int | None, statistic: str = "") -> RankedHeads:
    """Sort heads by descending score, ties by (layer, head)."""
    ranked = sorted(scores, key=lambda pair: (-pair[1], pair[0]))
    return RankedHeads(tuple(head for head, _ in ranked), tuple(score for _, score in ranked), n_layers, n_heads, statistic)


@runtime_checkable
class HeadFormat(Protocol):
    """A layout of files of ranked heads: a class that needs no arguments, decorated with `@head_format("name")`.

    It may have options with defaults (`name:option=value`). A layout of more than one file may have `read_beside(ranked, path)`, which
    adds to a ranking what the files beside `path` say, and `write_beside(ranked, path)`.
    """

    def recognises(self, content: str) -> bool:
        """Whether a file's text has this layout; it may still be malformed, which `read` says."""
        ...

    def read(self, content: str) -> RankedHeads:
        """The ranking in a file's text; an InputError names the entry that is wrong."""
        ...

    def write(self, ranked: RankedHeads) -> str:
        """The text of a file; an InputError says what the layout cannot hold."""
        ...


HEAD_FORMATS: Registry[type[HeadFormat]] = Registry("head-file format", "mechdyn.head_files")
Format = TypeVar("Format", bound=type[Any])


def head_format(name: str) -> Callable[[Format], Format]:
    """Give a format its name: from then on `read_heads` recognises such files and `RankedHeads.save(path, format=name)` writes them.

    Raises:
        InputError: a name that another format has, or a class that lacks a method of `HeadFormat`.
    """

    def register(kind: Format) -> Format:
        lacking = [method for method in ("recognises", "read", "write") if not callable(getattr(kind, method, None))]
        if lacking:
            raise InputError(f"a head-file format has recognises, read and write; {kind.__name__} lacks {', '.join(lacking)}")
        HEAD_FORMATS.register(name, kind)
        return kind

    return register


def read_heads(path: str | Path, format: str | None = None) -> RankedHeads:
    """The ranked heads of a file, in any format that is known.

    Args:
        path: the file.
        format: the name of its format; recognised from the content where left out.

    Raises:
        InputError: no such file, an unknown format, or a malformed file; the message names the file and the entry.
    """
    content = _content(path)
    for name in (format,) if format else _own_first():
        layout = layout_of(name)
        if format or layout.recognises(content):
            try:
                ranked = layout.read(content)
                return layout.read_beside(ranked, Path(path)) if hasattr(layout, "read_beside") else ranked
            except InputError as error:
                raise InputError(f"the heads in {shown(path)} cannot be read: {error}") from error
    raise InputError(f"{shown(path)} is no list of heads in a known format ({', '.join(HEAD_FORMATS.names())}){_not_json(content)}")


def format_of(path: str | Path) -> str:
    """The name of the format that `read_heads` recognises a file as.

    Raises:
        InputError: no such file, or no known format.
    """
    content = _content(path)
    recognised = next((name for name in _own_first() if layout_of(name).recognises(content)), None)
    if recognised is None:
        raise InputError(f"{shown(path)} is no list of heads in a known format ({', '.join(HEAD_FORMATS.names())}){_not_json(content)}")
    return recognised


def layout_of(spec: str) -> Any:
    """A format with its options."""
    name, options = parse_spec(spec)
    return make("head-file format", name, HEAD_FORMATS.get(name), options)


def lost(ranked: RankedHeads, kept: RankedHeads) -> tuple[str, ...]:
    """What a ranking lacks that was written to a file and read back: `scores`, `the order`, `model`, `n` and the like.

    A score that was not known cannot be lost, nor a field that was empty.
    """
    before, after = dict(zip(ranked.heads, ranked.scores, strict=True)), dict(zip(kept.heads, kept.scores, strict=True))
    scored = {head: score for head, score in before.items() if not math.isnan(score)}
    missing = {
        "some heads": before.keys() != after.keys(),
        "scores": any(after.get(head) != score for head, score in scored.items()),
        "the order": before.keys() == after.keys() and ranked.heads != kept.heads,
        "the model's shape": ranked.n_layers is not None and (ranked.n_layers, ranked.n_heads) != (kept.n_layers, kept.n_heads),
        "statistic": bool(ranked.statistic) and ranked.statistic != kept.statistic,
        "model": bool(ranked.model) and ranked.model != kept.model,
        "n": ranked.n is not None and ranked.n != kept.n,
        "spread over samples": ranked.spread is not None and ranked.spread != kept.spread,
    }
    return tuple(name for name, is_lost in missing.items() if is_lost)


def _content(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"the heads cannot be read from {shown(path)}: {_reason(error)}") from error


def _own_first() -> list[str]:
    """All formats, those of other packages last, so that none of them takes a file of ours for its own."""
    return sorted(HEAD_FORMATS.names(), key=lambda name: not HEAD_FORMATS.get(name).__module__.startswith("mechdyn."))


FORMAT = ":format="
"""What a command line puts between a file of heads and its layout."""


def parse_heads_or_file(text: str) -> HeadSet | RankedHeads:
    """What a command line names: the ranking in a file, the first of it (`FILE:top=20`), or heads (`L3H6 L4H1`).

    The file's layout is recognised, or said: `FILE:format=wu`, `FILE:format=wu:top=20`, `FILE:top=20:format=duoattention:query_heads=32`.

    Raises:
        InputError: neither a file nor heads, or a file that cannot be read.
    """
    named, _, layout = text.partition(FORMAT)
    (path, first), (layout, last) = _top_of(named), _top_of(layout)
    if (k := first if last is None else last) is not None:
        return read_heads(path, layout or None).top(k)
    if layout or os.path.exists(text):
        return read_heads(named, layout or None)
    try:
        found = heads(text)
    except InputError as error:
        raise InputError(f"there is no file {shown(text)}, and as heads it cannot be read: {error}") from error
    if not found:
        raise InputError(f"heads are wanted, such as 'L3H6 L4H1', or a file of them, got {shown(text)}")
    return found


def _top_of(text: str) -> tuple[str, int | None]:
    """The text without `:top=K` at its end, and K; None where it has none."""
    path, top, k = text.rpartition(":top=")
    return (path, int(k)) if top and k.isdecimal() else (text, None)


def shown(text: object) -> str:
    """A text or path as a message quotes it: one line, and not too long a one."""
    quoted = repr(str(text))
    return quoted if len(quoted) <= _LONGEST_SHOWN else f"{quoted[:_LONGEST_SHOWN]}…'"


def each_head(what: Any) -> Iterator[Head]:
    """Every head that is named."""
    if isinstance(what, str):
        yield from (Head.parse(name) for name in re.split(r"[\s,]+", what) if name)
    elif isinstance(what, Head) or (isinstance(what, tuple) and len(what) == 2 and all(isinstance(part, int) for part in what)):
        yield Head(*what)
    elif isinstance(what, RankedHeads):
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


def _check_shape(n_layers: int | None, n_heads: int | None) -> None:
    if (n_layers is None) != (n_heads is None):
        raise InputError(f"a model's shape is layers and heads a layer, got n_layers={n_layers} and n_heads={n_heads}; give both or none")


def _check_head(head: Head, n_layers: int | None, n_heads: int | None) -> None:
    if n_layers is None or n_heads is None:
        if head.layer < 0 or head.head < 0:
            raise InputError(f"layers and heads count from 0, got layer {head.layer}, head {head.head}")
    elif not (0 <= head.layer < n_layers and 0 <= head.head < n_heads):
        raise InputError(
            f"head {head} is outside a model of {n_layers} layers x {n_heads} heads; "
            f"layers run from 0 to {n_layers - 1}, heads from 0 to {n_heads - 1}"
        )


def _check_fit(found: HeadSet | RankedHeads, n_layers: int, n_heads: int) -> None:
    if found.n_layers is not None and (found.n_layers, found.n_heads) != (n_layers, n_heads):
        raise InputError(
            f"the heads are of a model of {found.n_layers} layers x {found.n_heads} heads, this one has {n_layers} x {n_heads}; "
            "take heads of this model"
        )


def _reason(error: Exception) -> str:
    """What went wrong, without the path, which may be long."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "it is not UTF-8 text" if isinstance(error, UnicodeError) else str(error)


def _not_json(content: str) -> str:
    """What is wrong with a text that looks like JSON and is not."""
    if not content.strip():
        return ": the file is empty"
    if content.lstrip()[0] not in "{[":
        return ""
    try:
        json.loads(content)
    except (ValueError, RecursionError) as error:
        return f": it is not JSON ({error})"
    return ""


class _CallableModule(ModuleType):
    """Importing a module binds its name in its package, so that `mechdyn.heads` is this module; called, it is the function."""

    def __call__(self, what: Heads, n_layers: int | None = None, n_heads: int | None = None) -> HeadSet:
        return heads(what, n_layers, n_heads)


sys.modules[__name__].__class__ = _CallableModule
