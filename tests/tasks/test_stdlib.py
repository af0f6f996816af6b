"""Code as haystack: what is asked is found by running the code, and the rest is the library's own."""

import ast
import re
import sysconfig
from pathlib import Path
from types import SimpleNamespace

import pytest

from mechdyn.errors import InputError
from mechdyn.tasks import stdlib
from mechdyn.tasks.stdlib import StandardLibrary, library_modules, library_version
from mechdyn.tasks.task import SampleSet, build_sample
from tests.tokenizers import tokenizer_styles


@pytest.mark.parametrize("ask", ["constant", "function"])
@pytest.mark.parametrize("seed", range(4))
def test_the_value_is_what_the_code_gives(ask: str, seed: int) -> None:
    sample = StandardLibrary(ask=ask).sample(tokenizer_styles()["mini"], length=1200, depth=0.4, seed=seed)
    (span,) = sample.needle_spans
    names: dict = {}
    exec(sample.prompt[slice(*span)], names)
    name = re.search(r"[a-zA-Z_]+_limit\b", sample.question, re.IGNORECASE)[0]
    assert str(names[name]() if ask == "function" else names[name]) == sample.answer
    assert sample.prompt.count(sample.answer) == 1


def test_the_needle_stands_between_statements_of_the_librarys_own() -> None:
    sample = StandardLibrary().sample(tokenizer_styles()["byte_bpe"], length=1500, depth=0.6, seed=1)
    context = sample.prompt[slice(*sample.context_span)]
    needle = sample.prompt[slice(*sample.needle_spans[0])]
    before, after = context.split(needle)
    ast.parse(before)  # whole statements, a comment with the module's name before each module's
    folder = Path(sysconfig.get_paths()["stdlib"])
    named = re.findall(r"^# (\w+\.py)$", before, re.MULTILINE)
    sources = {name: (folder / name).read_text() for name in named}
    shown = [ast.unparse(statement) for statement in ast.parse(before).body]
    own = {ast.unparse(statement) for source in sources.values() for statement in ast.parse(source).body}
    assert shown and set(shown) <= own
    assert after.startswith("\n\n")


def test_another_library_is_refused() -> None:
    tokenizer = tokenizer_styles()["mini"]
    task = StandardLibrary().prepare(SimpleNamespace(tokenizer=tokenizer, n_ctx=2048), 64)
    (spec,) = task.samples(SampleSet(((400, 0.5),)))
    assert spec["library"] == library_version()
    assert len(build_sample(tokenizer, {"task": "stdlib", **spec})) == 400
    with pytest.raises(InputError, match=r"the sample is of the standard library 3\.9\.1-0 and this interpreter has"):
        build_sample(tokenizer, {"task": "stdlib", **spec, "library": "3.9.1-0"})


def test_an_interpreter_without_sources_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(stdlib.sysconfig, "get_paths", lambda: {"stdlib": str(tmp_path)})
    with pytest.raises(InputError, match="this Python has no sources of its standard library in"):
        library_modules.__wrapped__()
