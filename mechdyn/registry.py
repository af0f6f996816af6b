"""Doors: tasks, scores, claims and the like by name, from this package and from others.

A registry knows the package in which mechdyn's own things of its kind live; a file that is put there is found by itself. Another package
offers its things by an entry point of the group `mechdyn`, whose value is a module that registers them when it is imported.
"""

import json
import logging
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pkgutil import iter_modules
from types import CodeType
from typing import Any, Generic, TypeVar

from mechdyn.errors import InputError

GROUP = "mechdyn"
"""The entry-point group of packages that add to mechdyn."""
Thing = TypeVar("Thing")
_log = logging.getLogger(__name__)


class Registry(Generic[Thing]):
    """Things of one kind by name."""

    def __init__(self, kind: str, home: str) -> None:
        """Make an empty registry.

        Args:
            kind: what its things are called in messages, such as `task`.
            home: the package whose modules register mechdyn's own things of this kind, or the one module that does.
        """
        self.kind = kind
        self._home = home
        self._things: dict[str, Thing] = {}
        self._complete = False

    def register(self, name: str, thing: Thing) -> Thing:
        """Give a thing a name; the same thing may come again, as when a notebook's cell is run twice, and takes its own place.

        Raises:
            InputError: a name that cannot be typed on a command line, or that another thing has.
        """
        if not name or not all(letter.isalnum() or letter in "-_." for letter in name):
            raise InputError(f"the name of a {self.kind} has letters, digits, '-', '_' and '.' only, got {name!r}")
        if not str(getattr(thing, "__module__", "")).startswith(f"{GROUP}."):
            self._load_home()
        known = self._things.get(name)
        if known is not None and not _same(known, thing):
            raise InputError(f"the {self.kind} {name!r} is {_described(known)} already; give {_described(thing)} another name")
        self._things[name] = thing
        return thing

    def get(self, name: str) -> Thing:
        """The thing of a name: mechdyn's own, else one of an installed package.

        Raises:
            InputError: no thing has that name; the message lists those there are.
        """
        if name not in self._things:
            self._load_module(name)
        if name not in self._things:
            self._load_all()
        if name not in self._things:
            broken = "".join(f"; {problem}" for problem in load_plugins())
            raise InputError(f"unknown {self.kind} {name!r}; give one of {', '.join(sorted(self._things))}{broken}")
        return self._things[name]

    def names(self) -> tuple[str, ...]:
        """All names, those of installed packages among them, sorted."""
        self._load_all()
        return tuple(sorted(self._things))

    def named(self, thing: object) -> str | None:
        """The name that a thing is registered under; None where it is not."""
        return next((name for name, known in self._things.items() if known is thing), None)

    def _load_module(self, name: str) -> None:
        """The module of that name alone where there is one: one claim must not wait for what the others import."""
        is_package = hasattr(import_module(self._home), "__path__")
        if is_package and isinstance(name, str) and name.isidentifier() and find_spec(f"{self._home}.{name}"):
            import_module(f"{self._home}.{name}")

    def _load_all(self) -> None:
        self._load_home()
        load_plugins()

    def _load_home(self) -> None:
        if self._complete:
            return
        self._complete = True
        home = import_module(self._home)
        for module in iter_modules(getattr(home, "__path__", ())):
            import_module(f"{self._home}.{module.name}")


@cache
def load_plugins() -> tuple[str, ...]:
    """Import what installed packages offer, once; a line for each that cannot be imported, which is logged as well."""
    problems = []
    for point in entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:
            problems.append(f"the plugin {point.name} ({point.value}) cannot be imported: {type(error).__name__}: {error}")
            _log.warning("%s", problems[-1])
    return tuple(problems)


def parse_spec(text: str) -> tuple[str, dict[str, Any]]:
    """Read `name` or `name:option=value,option=value` as the command line has it; a value is JSON where it can be, else text.

    Raises:
        InputError: no name, or an option without a value.
    """
    name, _, rest = text.partition(":")
    options: dict[str, Any] = {}
    for part in filter(None, (each.strip() for each in rest.split(","))):
        option, equals, value = part.partition("=")
        if not equals or not option:
            raise InputError(f"options are written name:option=value,option=value, got {text!r}")
        try:
            options[option] = json.loads(value)
        except ValueError:
            options[option] = value
    if not name.strip():
        raise InputError(f"a name is needed before the options, got {text!r}; write name:option=value")
    return name.strip(), options


def make(kind: str, name: str, factory: Callable[..., Thing], options: dict[str, Any]) -> Thing:
    """Make a thing of a registered class, its options as keyword arguments.

    Raises:
        InputError: options that it does not take.
    """
    try:
        return factory(**options)
    except TypeError as error:
        raise InputError(f"{kind} {name!r} does not take the options {options}: {error}") from error


def _same(known: object, thing: object) -> bool:
    """Whether two objects come from the same place in the source; functions without a name of their own must also have the same code."""
    if known is thing:
        return True
    places = [(getattr(each, "__module__", ""), getattr(each, "__qualname__", "")) for each in (known, thing)]
    if places[0] != places[1] or not places[0][1]:
        return type(known) is type(thing) and known == thing
    if "<" not in places[0][1]:
        return True
    codes = [getattr(each, "__code__", None) for each in (known, thing)]
    return isinstance(codes[0], CodeType) and isinstance(codes[1], CodeType) and codes[0].co_code == codes[1].co_code


def _described(thing: object) -> str:
    """A thing by where it comes from."""
    if hasattr(thing, "__qualname__"):
        return f"{getattr(thing, '__module__', '?')}.{thing.__qualname__}"
    return f"{type(thing).__module__}.{type(thing).__qualname__}"
