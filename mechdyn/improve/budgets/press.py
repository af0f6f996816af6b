"""The same budgets as a press for NVIDIA's kvpress: its context managers, its pipeline, its registry of presses.

kvpress is imported when a press is made, and by nothing else of mechdyn: it asks for an older pandas and transformers than mechdyn does, so
it goes into an environment of its own (docs/kv_budgets.md).
"""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechdyn.errors import InputError
from mechdyn.heads import RankedHeads
from mechdyn.improve.budgets.allocation import BETA, KERNEL, WINDOW, Allotment, budgets, check_beta, scores_of
from mechdyn.improve.budgets.positions import by_group, kept, places, pooled_attention
from mechdyn.probes.forecast import Forecast
from mechdyn.traces.budgets import ECHO, FORECAST, STATIC, UNIFORM

SOURCES = (UNIFORM, STATIC, ECHO, FORECAST)
"""What a running system can deal a budget out by."""
INSTALL = (
    "kvpress is not installed; make an environment for it: pip install 'mechdyn[train]' 'pandas<3' fire 'cachetools<6', then "
    "pip install --no-deps kvpress"
)


@dataclass
class _Layer:
    """One attention layer: its place, what it was seen to attend to, and the keys that a forward hides."""

    module: Any
    attention: Float[Tensor, "head key"] | None = None
    hidden: tuple[Tensor, Tensor] | None = None
    clean: Tensor | None = None


@dataclass
class Dealing:
    """What the press does; `headkv_press` makes a press of it. Fields are those of `headkv_press`.

    Behind the context's own forward each further one (the question, then each token) is preceded by dealing the budget out among the
    key-value heads of all layers. kvpress' patched attention then overwrites the keys of what is dropped by ones of no weight; directly
    behind each layer's attention the keys are put back, so that what is dropped at one step can come back at the next.
    """

    compression_ratio: float = 0.0
    source: str = STATIC
    scores: RankedHeads | Float[Tensor, "layer head"] | None = None
    forecast: Forecast | None = None
    beta: float = BETA
    window: int = WINDOW
    kernel: int = KERNEL
    layers: list[_Layer] = field(default_factory=list, init=False, repr=False)
    context: Int[Tensor, " pos"] | None = field(default=None, init=False, repr=False)
    told: Float[Tensor, "layer head"] | None = field(default=None, init=False, repr=False)
    order: Int[Tensor, "layer kv_head rival"] | None = field(default=None, init=False, repr=False)
    rows: list[Tensor] = field(default_factory=list, init=False, repr=False)
    seen: Bool[Tensor, "layer kv_head pos"] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.compression_ratio < 1:
            raise InputError(f"compression_ratio is the share that is dropped, from 0 to below 1, got {self.compression_ratio}")
        if self.source not in SOURCES:
            raise InputError(f"a press deals a budget out by one of {', '.join(SOURCES)}, which need no needle, got {self.source!r}")
        if self.source == STATIC and self.scores is None:
            raise InputError("a static budget is dealt out by the scores of a list; give scores=md.read_heads(FILE)")
        if self.source == FORECAST and self.forecast is None:
            raise InputError("a forecast budget needs forecast=, from mechdyn.probes.forecast.fit_forecast")
        check_beta(self.beta)

    @contextmanager
    def __call__(self, model: Any) -> Iterator[None]:
        """Hooks on embeddings, every attention and the last norm, for the context's forward and for those behind it."""
        language_model = getattr(model.model, "language_model", model.model)
        self._fit(model.config.get_text_config(), [layer.self_attn for layer in language_model.layers])
        hooks = [
            language_model.embed_tokens.register_forward_pre_hook(self._before_forward),
            language_model.norm.register_forward_hook(self._read_hidden),
        ]
        for layer in self.layers:
            layer.module.rotary_emb = language_model.rotary_emb
            hooks.append(layer.module.register_forward_pre_hook(self._before_attention, with_kwargs=True))
            hooks.append(layer.module.register_forward_hook(self.forward_hook, with_kwargs=True))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            for layer in self.layers:
                layer.module.masked_key_indices = None

    def _fit(self, config: Any, modules: list[Any]) -> None:
        """Take the model's layers; a list or forecast of another model is refused. The pipeline comes twice: context, then question."""
        shape = (len(modules), config.num_attention_heads)
        if isinstance(self.scores, RankedHeads):
            self.scores = scores_of(self.scores, *shape)
        if self.scores is not None and tuple(self.scores.shape) != shape:
            raise InputError(f"the scores are of {tuple(self.scores.shape)} layers and heads, the model has {shape}; take its own")
        if self.forecast is not None:
            self.forecast.check(*shape)
        if [layer.module for layer in self.layers] != modules:
            self.layers, self.context, self.order = [_Layer(module) for module in modules], None, None
        self._n_kv_heads = int(config.num_key_value_heads)

    def _before_forward(self, module: Any, inputs: tuple[Tensor, ...]) -> None:
        """Deal out, now that the token is known which the last step gave."""
        (tokens,) = inputs
        if tokens.shape[0] != 1:
            raise InputError(f"this press takes one prompt at a time, as kvpress' pipeline does, got a batch of {tokens.shape[0]}")
        self._tokens = tokens[0].cpu()
        if self.order is None or self.context is None:
            return
        if self.source == ECHO and all(layer.attention is not None for layer in self.layers):
            like = self.context == self._tokens[0]
            rows = [layer.attention[:, : len(like)] for layer in self.layers if layer.attention is not None]
            self.told = torch.stack([torch.where(like, row, 0.0).sum(dim=-1) for row in rows])
        self.seen = self._deal(self.order)

    def _deal(self, order: Int[Tensor, "layer kv_head rival"]) -> Bool[Tensor, "layer kv_head pos"]:
        """What key-value heads see; before the first step has told anything, a list decides, and without one all see the same."""
        assert self.context is not None
        how = self.allotment(len(self.context))
        scores = self.told if self.told is not None else self.scores
        own = torch.ones(order.shape[:2])
        if self.source != UNIFORM and isinstance(scores, Tensor):
            own = by_group(scores, self._n_kv_heads, "max")
        return kept(order, budgets(own, how, order.shape[-1]), how.window)

    def allotment(self, n_context: int) -> Allotment:
        """The budget of a context of so many tokens."""
        fraction = 1 - self.compression_ratio
        return Allotment.of_prompt(fraction, n_context, beta=self.beta, window=self.window, kernel=self.kernel)

    def _before_attention(self, module: Any, inputs: tuple[Any, ...], options: dict[str, Any]) -> None:
        cache, layer = options["past_key_values"], self.layers[module.layer_idx]
        if not cache.get_seq_length(module.layer_idx):
            if module.layer_idx == 0:
                self.context, self.order, self.told, self.seen = self._tokens, None, None, None
                self.rows = []
            layer.attention = layer.hidden = None
            module.masked_key_indices = None
            return
        assert self.seen is not None
        held = cache.layers[module.layer_idx]
        heads, positions = (~self.seen[module.layer_idx]).nonzero(as_tuple=True)
        layer.hidden = heads.to(held.keys.device), positions.to(held.keys.device)
        layer.clean = held.keys[0, layer.hidden[0], layer.hidden[1]].clone()
        module.masked_key_indices = (torch.zeros_like(layer.hidden[0]), *layer.hidden) if len(heads) else None

    def forward_hook(self, module: Any, inputs: tuple[Any, ...], options: dict[str, Any], output: Any) -> Any:
        """Behind each attention: note what it attended to, and put the keys back that were overwritten."""
        layer, held = self.layers[module.layer_idx], options["past_key_values"].layers[module.layer_idx]
        if layer.hidden is None:
            self._rank(module, options, held.keys)
            return output
        if self.source == ECHO:
            layer.attention = self._attention(module, options, held.keys, 1)[:, 0].float().cpu()
        held.keys[0, layer.hidden[0], layer.hidden[1]] = layer.clean
        module.masked_key_indices = layer.clean = None
        return output

    def _rank(self, module: Any, options: dict[str, Any], keys: Tensor) -> None:
        """Behind the context: in which order each head drops positions; with the last layer all are known."""
        how = self.allotment(keys.shape[2])
        rows = self._attention(module, options, keys, how.window)
        full = torch.nn.functional.pad(rows.float().cpu(), (0, how.window))
        self.rows.append(pooled_attention(full[None], how)[0])
        if len(self.rows) == len(self.layers):
            self.order = places(by_group(torch.stack(self.rows), self._n_kv_heads, "mean"))
            self.rows = []

    def _attention(self, module: Any, options: dict[str, Any], keys: Tensor, window: int) -> Float[Tensor, "head query key"]:
        """The last queries' attention on all keys before them (kvpress' own computation)."""
        compute = import_module("kvpress").SnapKVPress.compute_window_attention
        return compute(module, options["hidden_states"], keys, window, options["position_embeddings"])[0]

    def _read_hidden(self, module: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Behind the last norm; the context's own forward tells nothing of the question's."""
        if self.source == FORECAST and self.seen is not None and self.forecast is not None:
            self.told = self.forecast(output[0, -1:]).clamp(min=0.0)[0]


def headkv_press(
    compression_ratio: float,
    *,
    source: str = STATIC,
    scores: RankedHeads | Float[Tensor, "layer head"] | None = None,
    forecast: Forecast | None = None,
    beta: float = BETA,
    window: int = WINDOW,
    kernel: int = KERNEL,
) -> Any:
    """A press that deals a budget out among key-value heads: by a list as HeadKV does, or anew at every step.

    It is one of kvpress' `PrefillDecodingPress`es, so that its pipeline keeps it on while it decodes, and takes one question a context.
    As with all presses that mask, memory is not saved, only what attention reads: it measures what a cache of that size would do.

    Args:
        compression_ratio: share of the context that is dropped, from 0 to below 1; by kvpress' word for it.
        source: `uniform`, `static`, `echo` (attention at the step before on tokens of the context like the one it gave) or `forecast`.
        scores: a list of this model; also what deals out before the first step has told anything.
        forecast: for `forecast`.
        beta: β of HeadKV's formula.
        window: the context's last positions, which every head sees.
        kernel: neighbours over which attention is pooled.

    Raises:
        InputError: kvpress is not installed; a source that needs a needle; a ratio, β or list that cannot be.
    """
    return _press_class()(compression_ratio, source, scores, forecast, beta, window, kernel)


def register_presses(registry: MutableMapping[str, Any], scores: RankedHeads, forecast: Forecast | None = None) -> None:
    """Add these presses to a registry as kvpress' evaluation has one (`PRESS_REGISTRY` of its `evaluate_registry.py`).

    Its runs set `compression_ratio` themselves. Names: `headkv` (static), `headkv_uniform`, `headkv_echo` and, with a forecast,
    `headkv_forecast`.

    Raises:
        InputError: kvpress is not installed, or a name is taken.
    """
    wanted = {"headkv": STATIC, "headkv_uniform": UNIFORM, "headkv_echo": ECHO} | ({"headkv_forecast": FORECAST} if forecast else {})
    if taken := sorted(wanted.keys() & registry.keys()):
        raise InputError(f"the registry has a press {taken[0]!r} already; take it out, or register into another one")
    made = {name: headkv_press(0.0, source=source, scores=scores, forecast=forecast) for name, source in wanted.items()}
    registry.update(made)


@cache
def _press_class() -> Any:
    """`Dealing` as a class of kvpress'."""
    try:
        kvpress: Any = import_module("kvpress")
    except ImportError as error:
        raise InputError(f"{INSTALL} ({error})") from error

    class HeadKVPress(Dealing, kvpress.PrefillDecodingPress):
        """HeadKV's budgets, static or by step."""

    return HeadKVPress
