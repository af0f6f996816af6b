"""Code as haystack: the sources of Python's standard library, and a constant or a function among them whose value is asked.

The haystack is what stands at the top level of the interpreter's own modules (functions, classes, assignments), a module under a comment
with its name, cut to length in the model's tokens. Statements of more than 15 lines are left out, so that there are places enough for what
is asked. That was written for the sample and stands between two statements, so no model has read it before.
"""

import ast
import platform
import random
import sysconfig
from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from mechdyn.errors import InputError
from mechdyn.hashing import content_hash
from mechdyn.metrics import contains_answer
from mechdyn.tasks.fitting import Fitted, fit_text, inserted
from mechdyn.tasks.made import MadeTask, Place
from mechdyn.tasks.niah import in_frame
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.task import Spec, Task, option, prepared, task
from mechdyn.tasks.values import random_number, random_words

ASKED = ("constant", "function")
_QUESTIONS = {"constant": "What is the value of {name}?", "function": "What does {name}() return?"}
_CODE = {"constant": "{name} = {value}", "function": "def {name}():\n    return {value}"}
_JOINT = "\n\n"
_LINES, _WIDTH = 15, 140
"""A statement that is longer, or has a wider line, is left out."""


@task
@dataclass(frozen=True)
class StandardLibrary(MadeTask):
    """A constant or a function of one line in Python's standard library: accuracy is whether the answer has its value, seven digits.

    The evidence is the constant's line, or the function's two, at the nearest earlier place between two statements of the top level.
    """

    name: ClassVar[str] = "stdlib"

    ask: str = option("constant", "constant or function: what is asked for.")
    library: str | None = prepared(None)

    def check(self) -> None:
        if self.ask not in ASKED:
            raise InputError(f"ask must be one of {', '.join(ASKED)}, got {self.ask!r}")

    def prepare(self, model: Any, room: int) -> Task:
        """Hash the sources: they differ between interpreters."""
        return replace(self, library=library_version())

    def spec(self, length: int, depth: float, seed: int) -> Spec:
        return super().spec(length, depth, seed) | ({} if self.library is None else {"library": self.library})

    @classmethod
    def build(cls, model_or_tokenizer: Any, *, library: str | None = None, **spec: Any) -> Sample:
        """What `sample` makes.

        Raises:
            InputError: the sample was planned with another standard library than this interpreter's.
        """
        if library is not None and library != library_version():
            raise InputError(
                f"the sample is of the standard library {library} and this interpreter has {library_version()}; take that Python, or start "
                "a new run"
            )
        return super().build(model_or_tokenizer, **spec)

    @classmethod
    def quality(cls, text: str, answer: str) -> dict[str, float]:
        return {"accuracy": contains_answer(text, answer)}

    def make(self, tokenizer: Any, place: Place) -> Sample:
        needle = random.Random(f"stdlib-{place.needle_seed}")
        words = random_words(needle).replace("-", "_")
        name, value = f"{words}_limit", random_number(needle)
        name = name.upper() if self.ask == "constant" else name
        question = _QUESTIONS[self.ask].format(name=name)
        pieces = [(_CODE[self.ask].format(name=name, value=value), place.depth)]
        code, ends = _sources(place.seed, place.length)

        def last_end(cut: str, place: int) -> int:
            before = bisect_right(ends, place)
            return ends[before - 1] if before else 0

        def assemble(cut: str) -> Fitted:
            context, spans = inserted(cut, pieces, last_end, _JOINT)
            return in_frame(tokenizer, context, question, spans)

        fitted = fit_text(assemble, code, place.length, joint=_JOINT)
        return self.finished(fitted, place, question=question, answer=value, name=name)


@cache
def library_modules() -> dict[str, str]:
    """The sources of the standard library's top-level modules by file name, private ones left out.

    Raises:
        InputError: the interpreter has no sources.
    """
    folder = Path(sysconfig.get_paths()["stdlib"])
    found = {file.name: file.read_text(encoding="utf-8", errors="replace") for file in sorted(folder.glob("[a-z]*.py"))}
    if not found:
        raise InputError(f"this Python has no sources of its standard library in {folder}; take one that has")
    return found


@cache
def library_version() -> str:
    """The interpreter's version and a hash of its sources."""
    return f"{platform.python_version()}-{content_hash(library_modules())}"


def _sources(seed: int, length: int) -> tuple[str, list[int]]:
    """Modules in an order drawn by the seed, more than `length` tokens of them if there are, and the characters behind each statement."""
    names = list(library_modules())
    random.Random(f"stdlib-modules-{seed}").shuffle(names)
    code, ends = "", list[int]()
    for name in names:
        statements = _statements(name)
        if statements:
            code += f"{_JOINT if code else ''}# {name}"
        for statement in statements:
            code += f"{_JOINT}{statement}"
            ends.append(len(code))
        if len(code) > 8 * length:
            break
    return code, ends


@cache
def _statements(name: str) -> tuple[str, ...]:
    """The statements of a module's top level that are short enough, as they are written, without docstring and imports."""
    text = library_modules()[name]
    lines = text.split("\n")
    found = []
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Expr | ast.Import | ast.ImportFrom):
            continue
        first = min([statement.lineno, *(each.lineno for each in getattr(statement, "decorator_list", ()))])
        shown = lines[first - 1 : statement.end_lineno]
        if len(shown) <= _LINES and max(map(len, shown)) <= _WIDTH:
            found.append("\n".join(shown))
    return tuple(found)
