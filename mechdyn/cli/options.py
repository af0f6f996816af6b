"""Options of a command from the fields of its frozen config, so that each is written and explained once."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from functools import wraps
from types import MappingProxyType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

OutOption = Annotated[str | None, typer.Option("--out", metavar="FOLDER", help="Folder of the run; run again, the same run goes on in it.")]


def takes(
    config_type: type, *, defaults: Mapping[str, Any] = MappingProxyType({}), **fixed: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace a command's parameter `config` by an option for every field of `config_type`.

    A field is an option of its name, or of `flag` in its metadata; one of type `tuple[X, ...]` may be given several times.

    Args:
        config_type: a frozen dataclass whose fields come from `runs.configs.option` and `argument`.
        defaults: other defaults than the fields' own.
        fixed: fields that this command does not ask for.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(config_type)
        own = [parameter for name, parameter in inspect.signature(command).parameters.items() if name != "config"]
        asked = [item for item in fields(config_type) if item.name not in fixed]
        ours = [_parameter(item, hints[item.name], defaults.get(item.name, item.default)) for item in asked]

        @wraps(command)
        def call(**values: Any) -> None:
            chosen = {item.name: values.pop(item.name) for item in asked}
            given = {name: tuple(value or ()) if _is_tuple(hints[name]) else value for name, value in chosen.items()}
            command(config=config_type(**given, **fixed), **values)

        parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*ours, *own)]
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return call

    return decorate


def with_defaults(command: Callable[..., None], **defaults: Any) -> Callable[..., None]:
    """The same command, some of its options with other defaults: a figure's script on another task."""

    @wraps(command)
    def call(**values: Any) -> None:
        command(**values)

    parameters = inspect.signature(command).parameters
    changed = [parameter.replace(default=defaults.get(name, parameter.default)) for name, parameter in parameters.items()]
    call.__signature__ = inspect.Signature(changed)  # type: ignore[attr-defined]
    return call


def _parameter(item: Field[Any], hint: Any, default: Any) -> inspect.Parameter:
    details = dict(item.metadata)
    details.pop("how", None)
    text, flag = details.pop("help"), details.pop("flag", f"--{item.name.replace('_', '-')}")
    if details.pop("argument", False):
        given = inspect.Parameter.empty if default is MISSING else default
        return _keyword(item.name, Annotated[hint, typer.Argument(help=text, **details)], given)
    flags = [f"{flag}/--no-{flag.removeprefix('--')}"] if hint is bool else flag.split("/")
    if _is_tuple(hint):
        hint, default = list[get_args(hint)[0]] | None, list(default) or None  # type: ignore[misc]
    return _keyword(item.name, Annotated[hint, typer.Option(*flags, help=text, **details)], default)


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _is_tuple(hint: Any) -> bool:
    return get_origin(hint) is tuple
