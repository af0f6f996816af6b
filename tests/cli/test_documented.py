"""Every command and option is on the documentation's page, and none is lost unless its line below is taken out as well."""

import importlib.util
from pathlib import Path

import pytest
import typer

from mechdyn.cli import app

ROOT = Path(__file__).resolve().parents[2]
LISTED = Path(__file__).with_name("command_line.txt")
"""A line for each command: what is typed, then its arguments and options."""


@pytest.fixture(scope="module")
def reference():
    """`docs/reference.py`, which writes the page."""
    pytest.importorskip("sphinx")
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def there(group, before=""):
    """Each command's line, read from the command line itself."""
    for name, command in group.commands.items():
        if not hasattr(command, "commands") or command.invoke_without_command:
            named = [name for each in command.params for name in sorted((*each.opts, *each.secondary_opts))]
            yield " ".join([f"{before}{name}:", *sorted(named)])
        if hasattr(command, "commands"):
            yield from there(command, f"{before}{name} ")


def test_no_command_and_no_option_is_lost():
    assert sorted(there(typer.main.get_command(app))) == LISTED.read_text().splitlines()


def test_the_page_has_every_command_with_every_option(reference):
    written = {
        name: "\n".join(reference.Commands._command(None, name, each))
        for name, each in reference.every_command(typer.main.get_command(app))
    }
    for line in LISTED.read_text().splitlines():
        name, _, named = line.partition(":")
        assert written[name].startswith(f"mechdyn {name}\n---")
        for option in named.split():
            wanted = f"``{option}``" if option.startswith("-") else "``"
            assert wanted in written[name], (name, option)


def test_every_option_says_what_it_is():
    for _, command in _each(typer.main.get_command(app)):
        for parameter in command.params:
            assert parameter.help and len(parameter.help) > 8, (command.name, parameter.name)


def _each(group):
    for name, command in group.commands.items():
        yield name, command
        if hasattr(command, "commands"):
            yield from _each(command)
