"""README and docs hold: their Python gives what it says, their commands and options exist, their links lead somewhere."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mechdyn.registry import Registry
from tests.documents import ROOT, Document

README = Document(ROOT / "README.md")
PAGES = [page for folder in ("", "decisions", "smollm2", "verdicts") for page in sorted((ROOT / "docs" / folder).glob("*.md"))]
DOCUMENTS = [README, Document(ROOT / "CONTRIBUTING.md"), *map(Document, PAGES)]
# How many results the Python of a document states at least: fewer is a loss that someone must have meant.
RESULTS = {
    "README.md": 5,
    "all_of_mechdyn.md": 20,
    "bring_your_own_model.md": 4,
    "data_out.md": 13,
    "extending.md": 12,
    "improve.md": 1,
    "own_text.md": 8,
    "rag.md": 3,
    "tasks.md": 20,
    "verdicts.md": 2,
}
COMMANDS = {" ".join(words): words for document in DOCUMENTS for words in document.commands("mechdyn")}
WITH_PYTHON = [document for document in DOCUMENTS if document.blocks("python")]


@cache
def help_of(*subcommand: str) -> str:
    """`mechdyn SUBCOMMAND --help`, wide enough that no option is wrapped."""
    code = "import sys; sys.argv[0] = 'mechdyn'; from mechdyn.cli import main; main()"
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    result = subprocess.run(
        [sys.executable, "-c", code, *subcommand, "--help"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, f"mechdyn {' '.join(subcommand)} --help failed: {result.stderr}"
    return result.stdout


@pytest.fixture
def shown_figures() -> Iterator[list[dict[str, Any]]]:
    """Figures that `.show()` hands to plotly's renderer, which here only keeps them."""
    import plotly.io as pio
    from plotly.io.base_renderers import ExternalRenderer

    shown: list[dict[str, Any]] = []

    class Keep(ExternalRenderer):
        def render(self, fig_dict: dict[str, Any]) -> None:
            shown.append(fig_dict)

    before = pio.renderers.default
    pio.renderers["keep"] = Keep()
    pio.renderers.default = "keep"
    yield shown
    pio.renderers.default = before


@pytest.fixture
def own_registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a document registers is gone behind it: other tests count what there is."""
    from mechdyn.claims.claim import CLAIMS
    from mechdyn.heads import HEAD_FORMATS
    from mechdyn.rag.strategy import STRATEGIES
    from mechdyn.reports.verdict import LAYOUTS
    from mechdyn.schedules import SCHEDULES
    from mechdyn.scores.score import SCORES
    from mechdyn.tasks.task import TASKS

    registries: tuple[Registry[Any], ...] = (CLAIMS, HEAD_FORMATS, LAYOUTS, SCHEDULES, SCORES, STRATEGIES, TASKS)
    for registry in registries:
        registry.names()  # loads mechdyn's own, which must stay
        monkeypatch.setattr(registry, "_things", dict(registry._things))


@pytest.mark.usefixtures("own_registries")
@pytest.mark.parametrize("document", WITH_PYTHON, ids=lambda document: document.path.name)
def test_python_gives_the_results_that_are_stated(
    document: Document, shown_figures: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    results = list(document.run({}))
    wrong = [f"{source} gives {came}, not {stated}" for source, stated, came in results if stated != came]
    assert not wrong, "\n".join(wrong)
    assert len(results) >= RESULTS.get(document.path.name, 0)
    assert len(shown_figures) == document.text.count(".show()")


def test_the_readme_shows_the_public_calls() -> None:
    code = "\n".join(block for _, block in README.blocks("python"))
    assert all(
        call in code for call in ("md.load_model(", "md.niah(", "md.trace(", "trace.heads(", "md.views.timeline(trace).show()", "ablate=")
    )


def test_the_readme_shows_commands() -> None:
    assert {"verify", "trace", "ablate", "explore", "report", "models"} <= {words[1] for words in README.commands("mechdyn")}
    assert ["make", "verify"] in README.commands("make")
    assert ["source", ".venv/bin/activate"] in README.commands("source")  # else there is no command `mechdyn`


@pytest.mark.parametrize("words", COMMANDS.values(), ids=" ".join)
def test_commands_exist_with_their_options(words: list[str]) -> None:
    group = words[1:3] if words[1] in ("models", "heads", "improve", "retmask") and len(words) > 2 else words[1:2]
    text = help_of(*group)
    missing = [word for word in words[2:] if word.startswith("--") and not re.search(rf"{re.escape(word)}\b", text)]
    assert not missing, f"mechdyn {' '.join(group)} has no {missing}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.path.name)
def test_a_run_that_is_read_was_written_by_a_command_of_the_document(document: Document) -> None:
    # A default folder is named by every option that differs, so documents name theirs.
    commands = document.commands("mechdyn")
    written = {folder for words in commands for option, folder in pairwise(words) if option == "--out"}
    read = {word for words in commands if words[1] in ("explore", "report") for word in words[2:] if word.startswith("runs/")}
    assert all(any(folder == each or folder.startswith(f"{each}/") for each in written) for folder in read)


@pytest.mark.parametrize("target", sorted({words[1] for each in DOCUMENTS for words in each.commands("make")}))
def test_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{re.escape(target)}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.path.name)
def test_links_lead_somewhere(document: Document) -> None:
    missing = [link for link in document.links() if not (document.path.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.path.name)
def test_files_of_the_repository_that_are_named_are_there(document: Document) -> None:
    named = re.findall(r"`((?:mechdyn|experiments|tests|docs|tutorials)/[\w./-]*)`", document.text)
    assert not [name for name in named if not (ROOT / name).exists()]


def test_the_design_page_has_the_layers_that_are_checked() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    missing = re.compile(r" [|:] \((\w+)\)")  # a module in parentheses may be missing; there it stands without them
    checked = [missing.sub(lambda may: may[0].replace("(", "").replace(")", "") * _is_module(may[1]), layer) for layer in contract]
    layers = "\n".join(checked)
    assert f"```text\n{layers}\n```" in Document(ROOT / "docs" / "design.md").text


def _is_module(name: str) -> bool:
    return (ROOT / "mechdyn" / name).exists()


def test_a_wrong_result_is_seen(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("```python\nx = 2\nx + 1  # → 3\n[\n    x\n]  # → [3]\n```\n\n```python\nx  # plain\n```\n")
    assert list(Document(tmp_path / "page.md").run({})) == [("x + 1", "3", "3"), ("[x]", "[3]", "[2]")]
