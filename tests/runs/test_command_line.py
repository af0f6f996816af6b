"""A config's command, read by the command line again, is the same config."""

import json
import shlex
from dataclasses import asdict

import pytest
import typer
from typer.testing import CliRunner

from mechdyn.cli.options import takes
from mechdyn.runs.command_line import command_line
from mechdyn.runs.configs import AblateConfig, ProgressiveConfig, SensitivityConfig, TraceConfig, VerifyConfig

CONFIGS = [
    VerifyConfig("dynamism"),
    VerifyConfig("correlation", model="my models/a b", lengths=(128, 256), seed=3, task="hotpotqa", style="direct", data="it's; rm.json"),
    AblateConfig(depths=(0.25,), runs=2, conditions=("clean", "dynamic"), method="mean", haystack="$HOME/x.txt"),
    ProgressiveConfig(masked=(0, 2), preset="standard"),
    SensitivityConfig(sinks=(1,), locals=(0,), thresholds=(0.5,), task="hotpotqa"),
    TraceConfig(length=300, depth=0.0, question="--odd"),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_the_command_gives_the_config_back(config):
    seen = []

    @takes(type(config))
    def command(config, out: str | None = None) -> None:
        seen.append((config, out))

    app = typer.Typer()
    app.command()(command)
    stored = json.loads(json.dumps(asdict(config)))
    words = shlex.split(command_line("mechdyn run", type(config), stored, out="a folder"))
    assert words[:2] == ["mechdyn", "run"]
    result = CliRunner().invoke(app, words[2:])
    assert result.exit_code == 0, result.output
    assert seen == [(config, "a folder")]


def test_defaults_and_missing_fields_are_left_out():
    assert command_line("mechdyn verify", VerifyConfig, {"claim": "dynamism", "seed": 0}) == "mechdyn verify dynamism"
