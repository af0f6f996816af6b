"""The command line answers at once: what is heavy is imported by the command that needs it."""

import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "transformers", "transformer_lens", "numpy", "scipy", "sklearn", "pandas", "pyarrow", "datasets", "plotly", "circuitsvis")


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)


def child_cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def loaded_of(heavy: tuple[str, ...], statement: str) -> str:
    """The names of `heavy` that a fresh interpreter has imported after `statement`."""
    result = run_python(f"import sys; {statement}; print(*sorted(set(sys.argv[1:]) & set(sys.modules)))", *heavy)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_import_mechdyn_imports_nothing_heavy() -> None:
    assert loaded_of(HEAVY, "import mechdyn") == ""


def test_the_command_line_imports_nothing_heavy() -> None:
    assert loaded_of(HEAVY, "import mechdyn.cli") == ""


def test_public_names_are_listed_without_being_imported() -> None:
    result = run_python("import mechdyn, sys; print(*dir(mechdyn)); print('torch' in sys.modules)")
    assert result.returncode == 0, result.stderr
    names, torch_loaded = result.stdout.splitlines()
    assert {"load_model", "niah", "trace", "views"} <= set(names.split())
    assert torch_loaded == "False"


def test_help_answers_within_half_a_second() -> None:
    # CPU time, not wall time, and the best of a few: the first run compiles bytecode, and other processes may share the cores.
    seconds = []
    for _ in range(4):
        before = child_cpu_seconds()
        result = run_python("import sys; sys.argv[0] = 'mechdyn'; from mechdyn.cli import main; main()", "--help")
        seconds.append(child_cpu_seconds() - before)
        assert result.returncode == 0, result.stderr
        assert all(command in result.stdout for command in ("verify", "trace", "models"))
    assert min(seconds) < 0.5, f"mechdyn --help took {min(seconds):.2f} s of CPU time"
