"""A config's command, read by the command line again, is the same config."""

import json
import shlex
from dataclasses import asdict

import pytest
import typer
from typer.testing import CliRunner

from mechdyn.cli.options import takes
from mechdyn.runs.command_lines import command_line, default_folder, identity_fields
from mechdyn.runs.configs import AblateConfig, ProgressiveConfig, SensitivityConfig, TraceConfig, VerifyConfig
from mechdyn.runs.improve_configs import DecoreConfig, SealConfig

CONFIGS = [
    VerifyConfig("dynamism"),
    VerifyConfig("correlation", model="my models/a b", lengths=(128, 256), seed=3, task="hotpotqa", style="direct", data="it's; rm.json"),
    AblateConfig(depths=(0.25,), runs=2, conditions=("clean", "dynamic"), method="mean", haystack="$HOME/x.txt"),
    ProgressiveConfig(masked=(0, 2), preset="standard"),
    SensitivityConfig(sinks=(1,), locals=(0,), thresholds=(0.5,), task="hotpotqa"),
    TraceConfig(length=300, depth=0.0, sample="--odd"),
    DecoreConfig(scaled=True, schedules=("static",), dtype="bfloat16"),
    SealConfig(forecast=False, control=False, by=("head",)),
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


def test_a_default_folder_names_what_makes_another_run():
    plain = AblateConfig()
    assert str(default_folder("ablate", plain)) == "runs/ablate-mini-quick"
    assert str(default_folder("ablate", AblateConfig(model="a/b", batch_size=3, engine="bridge"))) == "runs/ablate-b-quick"
    assert str(default_folder("ablate", AblateConfig(lengths=(256,), runs=1))) == "runs/ablate-mini-quick-length-256-runs-1"
    assert (
        str(default_folder("dynamism", VerifyConfig("dynamism", task="world", style="direct"))) == "runs/dynamism-mini-world-direct-quick"
    )


@pytest.mark.parametrize("config_type", [AblateConfig, TraceConfig, ProgressiveConfig])
def test_two_configs_of_different_runs_never_share_a_default_folder(config_type):
    changed = {"tuple[float": (0.25,), "tuple[int": (7,), "tuple[str": ("other",), "int": 7, "float": 0.25}
    folders = {default_folder("x", config_type())}
    for item in identity_fields(config_type):
        value = next((value for kind, value in changed.items() if kind in str(item.type)), f"other {item.name}")
        folders.add(default_folder("x", config_type(**{item.name: value})))
    assert len(folders) == 1 + len(identity_fields(config_type))


def test_a_long_name_is_cut_and_stays_its_own():
    one, other = (default_folder("x", AblateConfig(data="d" * 200 + end)) for end in "ab")
    assert one != other and len(one.name) <= 100
