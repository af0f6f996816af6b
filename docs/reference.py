"""Two directives of the documentation: public names that link to their pages, and every command with its options."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.ext.autosummary import Autosummary, import_by_name
from sphinx.util.docutils import SphinxDirective

# A period ends a sentence where a new one begins, and not behind an abbreviation.
_SENTENCE_END = re.compile(r"(?<!\bEq)(?<!\bFig)(?<!\be\.g)(?<!\bi\.e)(?<!\bal)[.!?](?=\s+[A-Z`(])")


def first_sentence(documented: Any) -> str:
    """The first sentence of a docstring, whole."""
    paragraph = " ".join((inspect.getdoc(documented) or "").partition("\n\n")[0].split())
    end = _SENTENCE_END.search(paragraph)
    return paragraph[: end.end()] if end else paragraph


def home(name: str, documented: Any) -> str:
    """Where a public name is documented: the module that it was written in."""
    module, qualified = getattr(documented, "__module__", None), getattr(documented, "__qualname__", None)
    return f"{module}.{qualified}" if module and qualified else name


class LinkedSummary(Autosummary):
    """A table of public names. Each links to the module that it was written in, and says its first sentence."""

    def get_items(self, names: list[str]) -> list[tuple[str, str | None, str, str]]:
        found = []
        for shown, signature, _, name in super().get_items(names):
            _, documented, _, _ = import_by_name(name)
            summary = re.sub(r"`+([^`]+)`+", r"``\1``", first_sentence(documented)).replace("|", r"\|")
            found.append((shown, signature, summary, home(name, documented)))
        return found


class Commands(SphinxDirective):
    """Every command of `mechdyn` with what it does and its options, as the command line itself has them."""

    def run(self) -> list[nodes.Node]:
        from mechdyn.cli import app

        lines: list[str] = []
        for name, command in every_command(typer.main.get_command(app)):
            lines += self._command(name, command)
        container = nodes.section()
        container.document = self.state.document
        self.state.nested_parse(StringList(lines, source="mechdyn --help"), self.content_offset, container, match_titles=True)
        return container.children

    def _command(self, name: str, command: Any) -> list[str]:
        lines = [f"mechdyn {name}", "-" * (len(name) + 8), "", _literal_options(" ".join((command.help or "").split())), ""]
        inner = [(_written(each), _explained(each)) for each in command.params]
        lines += [".. list-table::", "   :widths: 30 70", ""] if inner else []
        for left, right in inner:
            lines += [f"   * - {left}", f"     - {' '.join(right.split())}"]
        return [*lines, ""]


def every_command(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Each command by what is typed behind `mechdyn`; a group of commands, where it does something by itself, before those in it."""
    for name, command in group.commands.items():
        inner = hasattr(command, "commands")
        if not inner or command.invoke_without_command:
            yield f"{before}{name}", command
        if inner:
            yield from every_command(command, f"{before}{name} ")


def _written(parameter: Any) -> str:
    """An option as one types it; of an argument its name alone."""
    if not parameter.opts[0].startswith("-"):
        return f"``{(parameter.metavar or parameter.opts[0]).upper()}``"
    return ", ".join(f"``{option}``" for option in [*parameter.opts, *parameter.secondary_opts])


def _explained(parameter: Any) -> str:
    """What it means, and what holds when it is left out."""
    told = _literal_options(parameter.help or "")
    known = parameter.default not in (None, False, True, "", (), [])
    return f"{told} Default: ``{parameter.default}``." if known else told


def _literal_options(text: str) -> str:
    """Help as reStructuredText: options as they are typed, nothing else taken for markup."""
    return re.sub(r"(?<!\S)(--?[a-z][\w-]*)", r"``\1``", re.sub(r"([*|])", r"\\\1", text))


def setup(app: Sphinx) -> dict[str, bool]:
    """For Sphinx."""
    app.setup_extension("sphinx.ext.autosummary")
    app.add_directive("autosummary", LinkedSummary, override=True)
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True}
