"""What a view was given, held against what it draws: one check for all views, one line where it is something else.

The checks are decorators: they stand before anything that a view does with its arguments.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import plotly.graph_objects as go

from mechdyn.errors import InputError
from mechdyn.traces.stored import StoredTrace
from mechdyn.traces.trace import Trace

_P = ParamSpec("_P")
_R = TypeVar("_R")
Check = Callable[[Any, str], None]
"""Of a value and the name of what it was given to; raises `InputError`."""


def takes_traces(*names: str, by_condition: bool = False, stored: bool = False) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Let a view start only where these of its arguments are traces.

    Args:
        names: the view's parameters that take a trace.
        by_condition: whether a mapping from the names of conditions to traces will do as well.
        stored: whether a trace as a store holds it (`mechdyn.traces.stored`) will do as well.
    """
    kinds = (Trace, StoredTrace) if stored else (Trace,)
    return _checked(lambda value, view: _check_trace(value, view, by_condition, kinds), names)


def takes_figure(name: str) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Let a function start only where this argument is what a view drew: a plotly figure or HTML."""
    return _checked(_check_figure, [name])


def takes_views(name: str, *kinds: type) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Let a page be made only where this argument, a sequence or mapping, holds views of these kinds."""
    return _checked(lambda value, page: _check_views(value, page, kinds), [name])


def _checked(check: Check, names: tuple[str, ...] | list[str]) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    def decorated(view: Callable[_P, _R]) -> Callable[_P, _R]:
        signature = inspect.signature(view)

        @wraps(view)
        def call(*arguments: _P.args, **options: _P.kwargs) -> _R:
            given = signature.bind(*arguments, **options).arguments
            for name in names:
                check(given[name], view.__name__)
            return view(*arguments, **options)

        return call

    return decorated


def _check_trace(value: Any, view: str, by_condition: bool, kinds: tuple[type, ...]) -> None:
    if isinstance(value, kinds):
        return
    if by_condition and isinstance(value, Mapping):
        strange = {name: each for name, each in value.items() if not isinstance(each, kinds)}
        if not strange:
            return
        name, value = next(iter(strange.items()))
        view = f"{view}, under {name!r},"
    wanted = "a Trace, or traces by the name of their condition" if by_condition else "one Trace"
    raise InputError(f"{view} takes {wanted}, got {type(value).__name__}; {_remedy(value)}")


def _check_figure(value: Any, what: str) -> None:
    if isinstance(value, go.Figure) or (hasattr(value, "html") and hasattr(value, "scripts")):
        return
    remedy = "an Explorer is a page of its own" if hasattr(value, "save") else "the views of mechdyn.views give them"
    raise InputError(f"{what} takes a plotly figure or the Html of a view, got {type(value).__name__}; {remedy}")


def _check_views(value: Any, page: str, kinds: tuple[type, ...]) -> None:
    if not isinstance(value, Mapping | list | tuple):
        raise InputError(f"{page} takes a list of figures, or figures by their heading, got {type(value).__name__}; put it into a list")
    for view in value.values() if isinstance(value, Mapping) else value:
        if not isinstance(view, kinds):
            remedy = (
                "an Explorer is a page of its own: explorer.save(path)" if hasattr(view, "save") else "the views of mechdyn.views give them"
            )
            raise InputError(f"{page} takes plotly figures and Html, got {type(view).__name__}; {remedy}")


def _remedy(value: Any) -> str:
    from mechdyn.tasks.sample import Sample

    if isinstance(value, Sample):
        return "trace the sample first: md.trace(model, sample)"
    if isinstance(value, list | tuple) and value and isinstance(value[0], Trace):
        return "pass one of its traces, the first is [0]"
    return "md.trace(model, sample) makes one, and a TraceStore gives those it holds"
