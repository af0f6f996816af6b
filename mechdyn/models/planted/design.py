"""Which heads of the last layer copy at which step: the truth that the controls are built from.

Tokens fall into 13 groups: the hyphen, which is every fifth or sixth token of a UUID, and the others by id modulo 12. In the static
control six heads serve all groups. In the nested one the heads stand in a fixed order, and a group has the first one, four or all sixteen
of them. In the dynamic one, groups and heads are the parts of a cube. Each of the twelve groups is an edge,
served by the two faces that meet in it and by its two corners: 6 + 8 heads, each face in 4 groups, each corner in 3. The hyphen is
served by two *opposite* faces and by two heads of its own. So

- every token is served by four heads, and two groups share at most two of them;
- over a UUID the faces are the most frequent heads, the hyphen's two by far. An edge has only one of two opposite faces and needs two
  corners besides, so the four most frequent heads never include all heads of a token: switching them off leaves every token a head.

The step control has the dynamic one's thirteen sets, in turn: step t of the answer is served by set t modulo 13, whatever the token.
"""

from functools import cache
from typing import Any, Literal, get_args

from mechdyn.errors import InputError, UnsupportedModelError
from mechdyn.heads import HeadSet

PlantedKind = Literal["static", "nested", "dynamic", "step"]
KINDS: tuple[PlantedKind, ...] = get_args(PlantedKind)

N_HEADS = 16
N_GROUPS = 13
N_CLOCK_LAYERS = 2
"""Layers of the step control that tell the step, a head a step."""
MAX_STEPS = N_CLOCK_LAYERS * N_HEADS
"""The steps that it can tell; no answer has so many."""
_N_EDGES = 12
_HYPHEN_GROUP = 12
_STATIC_HEADS = (1, 4, 6, 9, 11, 14)
_NESTED_SIZES = (1, 16, 4)
"""Heads of the groups in turn, so far apart that sets of two groups overlap by a quarter at most."""


def planted_heads(kind: PlantedKind, token_id: int, tokenizer: Any, step: int = 0) -> HeadSet:
    """The heads that copy token `token_id` at a step: exactly these retrieve (Eq. 1) where it is copied from the needle.

    Args:
        kind: `static`, `nested`, `dynamic` or `step`.
        token_id: the copied token, which is also the generated one.
        tokenizer: the bundled tokenizer, plain or the controls' copy.
        step: the step of the answer, 0 the first, by which the heads of the step control go and no others.
    """
    by_step = kind == "step"
    heads = serving_heads(kind)[step % N_GROUPS if by_step else _group(token_id, single_token(tokenizer, "-"))]
    return HeadSet.of(((n_layers(kind) - 1, head) for head in heads), n_layers(kind), N_HEADS)


def planted_kind(name: str) -> PlantedKind:
    """The kind of the control that `load_model` knows by this name, such as `planted-static`.

    Raises:
        InputError: no such control.
    """
    kind = next((kind for kind in KINDS if name == f"planted-{kind}"), None)
    if kind is None:
        raise InputError(f"a planted control is one of {', '.join(f'planted-{kind}' for kind in KINDS)}, got {name!r}")
    return kind


def n_layers(kind: PlantedKind) -> int:
    """Layers of a control: one that gathers, one that copies, and between them those that tell the step."""
    return 2 + (N_CLOCK_LAYERS if kind == "step" else 0)


@cache
def serving_heads(kind: PlantedKind) -> tuple[tuple[int, ...], ...]:
    """For each group of tokens, or of steps, the heads of the copying layer that serve it.

    Raises:
        InputError: no such kind.
    """
    if kind == "static":
        return (_STATIC_HEADS,) * N_GROUPS
    if kind == "nested":
        ranking = tuple(map(_scatter, range(N_HEADS)))
        return tuple(ranking[: _NESTED_SIZES[group % len(_NESTED_SIZES)]] for group in range(N_GROUPS))
    if kind in ("dynamic", "step"):
        return (*_edges(), (_face(2, 0), _face(2, 1), _scatter(14), _scatter(15)))
    raise InputError(f"a planted control is {', '.join(KINDS[:-1])} or {KINDS[-1]}, got {kind!r}")


def token_groups(tokenizer: Any) -> list[int]:
    """The group of every token, 0 to 12."""
    hyphen = single_token(tokenizer, "-")
    return [_group(token_id, hyphen) for token_id in range(len(tokenizer))]


def single_token(tokenizer: Any, text: str) -> int:
    """The id of `text`, which must be one token."""
    ids = tokenizer.encode(text, add_special_tokens=False)
    if len(ids) != 1:
        raise UnsupportedModelError(
            f"the planted controls need a tokenizer in which {text!r} is one token, got {len(ids)} tokens; use the bundled tokenizer"
        )
    return ids[0]


def _group(token_id: int, hyphen: int) -> int:
    return _HYPHEN_GROUP if token_id == hyphen else token_id % _N_EDGES


def _edges() -> list[tuple[int, ...]]:
    """The heads of the cube's twelve edges: the two faces beside it, then the corners at its ends."""
    edges = []
    for axis in range(3):
        for corner in range(8):
            if corner >> axis & 1:
                continue
            faces = (_face(other, corner >> other & 1) for other in range(3) if other != axis)
            edges.append((*faces, _corner(corner), _corner(corner | 1 << axis)))
    return edges


def _face(axis: int, side: int) -> int:
    return _scatter(2 * axis + side)


def _corner(corner: int) -> int:
    return _scatter(6 + corner)


def _scatter(part: int) -> int:
    """The head of a part of the cube. Any order would do; this one keeps heads of one kind apart in a plot."""
    return (5 * part + 3) % N_HEADS
