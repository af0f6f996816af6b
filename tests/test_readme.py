"""The README holds: its Python runs in order, its commands and options exist, its links lead somewhere."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[int, str]]:
    """Fenced blocks of a language with the line each begins on."""
    return [(README.count("\n", 0, match.start(2)), match[2]) for match in _FENCE.finditer(README) if match[1] == language]


def commands(program: str) -> list[list[str]]:
    """The words of every command line of the README that calls `program`."""
    lines = (line for _, block in blocks("bash") for line in block.splitlines())
    return [words for line in lines if (words := shlex.split(line, comments=True)) and words[0] == program]


def help_of(*subcommand: str) -> str:
    """`mechdyn SUBCOMMAND --help`, wide enough that no option is wrapped."""
    code = "import sys; sys.argv[0] = 'mechdyn'; from mechdyn.cli import main; main()"
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    result = subprocess.run(
        [sys.executable, "-c", code, *subcommand, "--help"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, f"mechdyn {' '.join(subcommand)} --help failed: {result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def namespace(shown_figures: list[dict[str, Any]]) -> dict[str, Any]:
    """What the README's Python leaves behind, all blocks run in order."""
    names: dict[str, Any] = {}
    for line, block in blocks("python"):
        # Blank lines in front, so that a traceback points into the README.
        exec(compile("\n" * line + block, str(ROOT / "README.md"), "exec"), names)
    return names


def test_python_of_the_readme_gives_what_its_comments_say(namespace: dict[str, Any], shown_figures: list[dict[str, Any]]) -> None:
    model, sample, trace = namespace["model"], namespace["sample"], namespace["trace"]
    n_steps = trace.tokens.shape[0]
    assert isinstance(trace.text, str)
    assert n_steps > 3
    assert trace.tokens.ndim == 1
    assert trace.retrieval_scores.shape == (n_steps, model.n_layers, model.n_heads)
    assert trace.hidden.shape == (n_steps, model.d_model)
    assert len(sample.tokens) <= 512
    assert len(shown_figures) == 1


def test_a_head_set_prints_as_the_readme_says(namespace: dict[str, Any]) -> None:
    trace = namespace["trace"]
    step = int(trace.retrieving_steps.nonzero()[0])
    assert re.fullmatch(r"L\d+H\d+( L\d+H\d+)*", str(trace.heads(step=step)))


def test_the_readme_shows_the_public_calls() -> None:
    code = "\n".join(block for _, block in blocks("python"))
    assert all(call in code for call in ("md.load_model(", "md.niah(", "md.trace(", "trace.heads(", "md.views.timeline(trace).show()"))


def test_the_readme_shows_commands() -> None:
    assert {"verify", "trace", "models"} <= {words[1] for words in commands("mechdyn")}
    assert {"verify", "test"} <= {words[1] for words in commands("make")}


@pytest.mark.parametrize("words", commands("mechdyn"), ids=" ".join)
def test_commands_of_the_readme_exist(words: list[str]) -> None:
    text = help_of(words[1])
    missing = [word for word in words[2:] if word.startswith("--") and not re.search(rf"{re.escape(word)}\b", text)]
    assert not missing, f"mechdyn {words[1]} has no {missing}"


@pytest.mark.parametrize("words", commands("make"), ids=" ".join)
def test_make_targets_of_the_readme_exist(words: list[str]) -> None:
    assert re.search(rf"^{re.escape(words[1])}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)", README))))
def test_links_of_the_readme_lead_somewhere(target: str) -> None:
    assert (ROOT / target).exists()
