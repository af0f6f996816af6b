"""Options made from a config: names, defaults, help, and what the command is given."""

from dataclasses import dataclass, fields, is_dataclass

import pytest
import typer
from typer.testing import CliRunner

from mechdyn.cli.options import takes
from mechdyn.runs import configs
from mechdyn.runs.configs import argument, option


@dataclass(frozen=True)
class Config:
    name: str = argument("what it is called")
    lengths: tuple[int, ...] = option((), "a length", flag="--length")
    runs: int | None = option(None, "how many", min=1)
    batch_size: int = option(8, "together")
    quiet: bool = option(False, "say nothing")
    task: str = option("niah", "the task")


def invoke(*arguments, **changes):
    seen = []

    @takes(Config, **changes)
    def command(config: Config, out: str | None = None) -> None:
        seen.append((config, out))

    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, list(arguments))
    return result, seen


def test_the_command_gets_the_config_and_its_own_parameters():
    result, seen = invoke("one", "--length", "3", "--length", "4", "--runs", "2", "--batch-size", "5", "--quiet", "--out", "here")
    assert result.exit_code == 0, result.output
    assert seen == [(Config("one", (3, 4), 2, 5, True), "here")]


def test_what_is_left_out_has_the_field_s_default():
    assert invoke("one")[1] == [(Config("one"), None)]


def test_other_defaults_can_be_given():
    assert invoke("one", defaults={"task": "world"})[1][0][0].task == "world"
    assert invoke("one", "--task", "niah", defaults={"task": "world"})[1][0][0].task == "niah"


def test_a_fixed_field_is_no_option():
    result, seen = invoke("--task", "world", name="fixed")
    assert result.exit_code == 0 and seen[0][0] == Config("fixed", task="world")
    assert invoke("surplus", name="fixed")[0].exit_code == 2


def test_bounds_are_held():
    result, seen = invoke("one", "--runs", "0")
    assert result.exit_code == 2 and not seen
    assert "--runs" in result.output


CONFIGS = [value for value in vars(configs).values() if isinstance(value, type) and is_dataclass(value)]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.__name__)
def test_every_field_of_every_command_has_a_line_of_help(config):
    assert all(item.metadata["help"].strip() for item in fields(config))
