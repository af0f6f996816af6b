"""Sliding windows: how far back the attention of each layer reaches, and which keys a query sees."""

from typing import Any

from jaxtyping import Bool, Float, Int

from mechdyn.tensors import Tensor, torch

Windows = tuple[int | None, ...]
"""For each layer the number of positions that a query sees, its own among them; None: all before it."""


def windows_of(twin: Any, n_layers: int, n_ctx: int) -> Windows:
    """The windows that a model's layers give to its attention function, asked by a forward of one token.

    Configurations are not enough: some state a window that their architecture does not use. A window that holds the whole context is
    none, and so is that of an architecture which does its attention elsewhere.
    """
    asked = _AskWindows()
    device = twin.get_input_embeddings().weight.device
    token = torch.zeros(1, 1, dtype=torch.long, device=device)
    mask = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device)
    try:
        with torch.inference_mode():
            twin(token, attention_mask=mask, position_ids=token, use_cache=False, one_query=asked)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError):
        return (None,) * n_layers  # what cannot run at all is refused, with its reason, where the bridge is looked at
    windows = (asked.found.get(layer) for layer in range(n_layers))
    return tuple(window if window is not None and window < n_ctx else None for window in windows)


class _AskWindows:
    """A `models.attention.OneQuery` that notes what each layer's window is."""

    def __init__(self) -> None:
        self.found: dict[int, int | None] = {}

    def attend(
        self,
        layer: int,
        query: Float[Tensor, "row head 1 d_head"],
        key: Float[Tensor, "row kv_head 1 d_head"],
        value: Float[Tensor, "row kv_head 1 d_value"],
        how: Any,
    ) -> Float[Tensor, "row 1 head d_value"]:
        self.found[layer] = how.window
        return query.new_zeros(query.shape[0], 1, query.shape[1], value.shape[-1])


def visible_keys(
    shown: Bool[Tensor, "row key"], keys: Int[Tensor, "row key"], queries: Int[Tensor, "row query"], window: int | None
) -> Bool[Tensor, "row query key"]:
    """The keys that each query sees in a layer of this window: shown, not behind the query, and less than `window` positions before it.

    `keys` and `queries` are position ids, and it is positions that the window counts, not the keys that are kept: where tokens are hidden
    (their positions are left out), a query sees what it would see of them all, less what is hidden. A key further back than the window
    never stood that far from a query in training, and the model's rotary distances are those of positions as well.
    """
    seen = shown[:, None] & (keys[:, None] <= queries[..., None])
    return seen if window is None else seen & (keys[:, None] > queries[..., None] - window)


def additive(seen: Bool[Tensor, "row query key"], dtype: "torch.dtype") -> Float[Tensor, "row 1 query key"]:
    """What is added to scores so that only these keys have weight.

    A padding position sees nothing: a least finite number keeps it from becoming NaN.
    """
    mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, torch.finfo(dtype).min)
    return mask[:, None]


class ChunkView:
    """What the queries of one chunk of prefill see; a mask is made once for all layers of one window.

    `shown` and `keys` are of all keys so far, the chunk's own last; `keys` are position ids. Layers may hold fewer keys, the last ones.
    """

    def __init__(self, windows: Windows, shown: Bool[Tensor, "row key"], keys: Int[Tensor, "row key"], n_queries: int) -> None:
        self.windows = windows
        self._all_shown = bool(shown.all())
        alike = self._all_shown and bool((keys == keys[:1]).all())
        self._shown, self._keys = (shown[:1], keys[:1]) if alike else (shown, keys)
        self._n_queries, self._gaps = n_queries, widest_gaps(shown)
        self._masks: dict[Any, Tensor] = {}

    def whole(self, like: Tensor) -> Float[Tensor, "row 1 query key"] | None:
        """The mask of a layer without a window; None where nothing is hidden and it is causal."""
        return None if self._all_shown else self.block(None, self._keys.shape[1], like, 0, self._n_queries)[1]

    def block(self, window: int | None, n_held: int, like: Tensor, start: int, end: int) -> tuple[int, Float[Tensor, "row 1 query key"]]:
        """For the queries from `start` to `end`: the first key of the `n_held` last ones that any of them may see, and the mask from there.

        Args:
            window: of the layer.
            n_held: how many keys the layer holds, the chunk's own among them.
            like: what the mask is to be like, in dtype and device.
            start: first query of the chunk.
            end: behind the last query.
        """
        n_keys = self._keys.shape[1]
        query, forgotten = n_keys - self._n_queries, n_keys - n_held
        first = forgotten if window is None else max(forgotten, query + start + 1 - window - self._gaps)
        place = (window, first, start, end, like.device)
        if place not in self._masks:
            near = slice(first, query + end)
            queries = self._keys[:, query + start : query + end]
            seen = visible_keys(self._shown[:, near], self._keys[:, near], queries, window)
            self._masks[place] = additive(seen.to(like.device), like.dtype)
        return first - forgotten, self._masks[place]


def widest_gaps(shown: Bool[Tensor, "row key"]) -> int:
    """The most places of padding that lie behind the first token of a row: so much further back than its window a query's keys may lie."""
    if shown.shape[1] == 0:
        return 0
    return int((shown.cumsum(dim=1).bool() & ~shown).sum(dim=1).max())
