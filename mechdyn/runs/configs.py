"""What each command can be asked: one frozen dataclass a command, one line of help a field.

The command line makes its options from the fields; the resolved copy is saved with the results. Nothing heavy is imported here, since
`--help` reads it.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any


def option(default: Any, help: str, **details: Any) -> Any:
    """A field with its line of help. `flag` names the option where it is not the field's own name; `min` and `max` bound a number."""
    return field(default=default, metadata={"help": help, **details})


def argument(help: str) -> Any:
    """A field that the command line takes by position."""
    return field(metadata={"help": help, "argument": True})


_model = partial(option, "mini", "mini, a control, a local Hugging Face directory or a hub id.")
_preset = partial(option, "quick", "quick, standard or paper: prompt lengths and samples.")
_lengths = partial(option, (), "Prompt length in tokens instead of the preset's; may be repeated.", flag="--length")
_seed = partial(option, 0, "Draws every sample.")
_haystack = partial(option, None, "Text file or folder of .txt files; procedural prose when left out.")
_batch_size = partial(option, 8, "Samples generated together, each under all of its conditions.", min=1)
_engine = partial(option, "auto", "auto, bridge or fast: what runs a step; auto is the fast one where it agrees with the bridge.")
_task = partial(option, "niah", "niah (needles), world (procedural two-hop questions) or hotpotqa (questions of --data).")
_style = partial(option, None, "rationale or direct: how questions ask for the answer; rationale when left out.")
_data = partial(option, None, "JSON file in HotpotQA's layout for --task hotpotqa, or hub:OWNER/NAME[@REVISION][:CONFIG[:SPLIT]].")


@dataclass(frozen=True)
class VerifyConfig:
    """What `mechdyn verify` was asked."""

    claim: str = argument("dynamism, irreplaceability, correlation or anticipation")
    model: str = _model()
    preset: str = _preset()
    lengths: tuple[int, ...] = _lengths()
    seed: int = _seed()
    haystack: str | None = _haystack()
    batch_size: int = _batch_size()
    task: str = _task()
    style: str | None = _style()
    data: str | None = _data()
    engine: str = _engine()


@dataclass(frozen=True)
class AblateConfig:
    """What `mechdyn ablate` was asked.

    Where the evidence of questions lies is drawn, so `depths` are for needles alone. Of a file as many questions are taken as the preset
    has samples, where it has enough.
    """

    model: str = _model()
    preset: str = _preset()
    lengths: tuple[int, ...] = _lengths()
    depths: tuple[float, ...] = option((), "Needle depth, 0 to 1, instead of the preset's; may be repeated.", flag="--depth")
    runs: int | None = option(None, "Samples a cell instead of the preset's; of questions, five times as many a length.", min=1)
    conditions: tuple[str, ...] = option((), "Only this condition; may be repeated. All when left out.", flag="--condition")
    method: str = option("zero", "zero, mean or resample: what takes an ablated head's place.")
    seed: int = _seed()
    haystack: str | None = _haystack()
    batch_size: int = _batch_size()
    task: str = _task()
    style: str | None = _style()
    data: str | None = _data()
    engine: str = _engine()


@dataclass(frozen=True)
class TraceConfig:
    """What `mechdyn trace` was asked. The world takes length and seed; of a file, `question` is the id, the first that fits if left out."""

    model: str = _model()
    length: int = option(512, "Prompt length in tokens, for needles and the world.")
    depth: float = option(0.5, "Where in the haystack the needle goes, 0 to 1.")
    seed: int = option(0, "Draws haystack and needle, or the world.")
    haystack: str | None = _haystack()
    task: str = _task()
    style: str | None = _style()
    data: str | None = _data()
    question: str | None = option(None, "Id of a question of --data; the first that the model can hold if left out.")
    engine: str = _engine()


@dataclass(frozen=True)
class ExploreConfig:
    """What `mechdyn explore` was asked."""

    run: str = argument("Folder of a run (trace, verify, ablate) or of a trace store.")
    sample: str | None = option(None, "Number or key of a sample as --list shows them; one that changes under ablation when left out.")
    conditions: tuple[str, ...] = option((), "Only this condition; may be repeated. All when left out.", flag="--condition")
    model: str | None = option(None, "Where the run's model lies, when it was a local directory.")
    sources: int = option(16, "Strongest sources a head and step, 0 for none, which needs no model.", min=0)


@dataclass(frozen=True)
class ProgressiveConfig:
    """Progressive ablation."""

    model: str = _model()
    preset: str = _preset()
    lengths: tuple[int, ...] = _lengths()
    runs: int | None = option(None, "Samples at each of five depths instead of the preset's.", min=1)
    masked: tuple[int, ...] = option(
        (), "Heads to mask at each step; may be repeated. Steps that suit the model when left out.", flag="-k/--masked"
    )
    seed: int = _seed()
    haystack: str | None = _haystack()
    batch_size: int = _batch_size()
    task: str = _task()
    style: str | None = _style()
    data: str | None = _data()
    engine: str = _engine()


@dataclass(frozen=True)
class SensitivityConfig:
    """The sensitivity grid of Eq. 2."""

    model: str = _model()
    task: str = option("world", "world (procedural two-hop questions) or hotpotqa (questions of --data).")
    preset: str = _preset()
    lengths: tuple[int, ...] = _lengths()
    seed: int = _seed()
    style: str | None = _style()
    data: str | None = _data()
    sinks: tuple[int, ...] = option((), "Size of the sink; may be repeated. 1, 4 and 16 when left out.", flag="--sink")
    locals: tuple[int, ...] = option((), "Size of the local window; may be repeated. 0, 32 and 128 when left out.", flag="--local")
    thresholds: tuple[float, ...] = option((), "Threshold; may be repeated. 0.3, 0.5 and 0.7 when left out.", flag="--threshold")
    batch_size: int = _batch_size()


@dataclass(frozen=True)
class RagConfig:
    """What `mechdyn rag` was asked."""

    model: str = _model()
    task: str = option("world", "world (procedural two-hop questions) or hotpotqa (questions of --data).")
    preset: str = option("quick", "quick, standard or paper: prompt lengths and numbers of questions.")
    lengths: tuple[int, ...] = _lengths()
    questions: int | None = option(None, "Questions at each length (of a file: at most half of it) instead of the preset's.", min=1)
    strategies: tuple[str, ...] = option(
        (),
        "dynamic, oracle, static, dynamic-random, fixed-random, no-context or full-context; may be repeated. All when left out.",
        flag="--strategy",
    )
    probe: str | None = option(None, "Folder of a probe of this model for dynamic; one is fitted on other questions when left out.")
    threshold: float = option(1.2, "A sentence with a word of a RIND value above this is retrieved for.")
    k: int = option(16, "Context positions that the chosen heads retrieve.", flag="-k")
    window: int = option(32, "Tokens shown to either side of each cluster of positions.")
    heads: int = option(5, "Heads that each strategy chooses.")
    variant: str = option("code", "code or paper: RIND as DRAGIN's published code has it, or as its paper prints it.")
    attention: str = option("alone", "alone or full: RIND's attention from a forward over the draft alone, or from generation itself.")
    draft: str = option("hidden", "hidden or windows: what a draft behind a rewritten sentence sees, nothing or still the last windows.")
    mode: str = option("mask", "mask or text: hide the rest of the context, or build a shorter prompt from the windows.")
    max_sentences: int = option(10, "Sentences an answer may have; one more round than this is the bound.")
    seed: int = _seed()
    style: str | None = _style()
    data: str | None = _data()
    batch_size: int = option(8, "Questions answered together, each under all strategies.", min=1)


@dataclass(frozen=True)
class RagSweepConfig:
    """The sweep of threshold, k and window: one number moves, the others stay at their defaults."""

    model: str = _model()
    task: str = option("world", "world (procedural two-hop questions) or hotpotqa (questions of --data).")
    preset: str = option("quick", "quick, standard or paper: prompt lengths and numbers of questions.")
    lengths: tuple[int, ...] = _lengths()
    questions: int | None = option(None, "Questions at each length (of a file: at most half of it) instead of the preset's.", min=1)
    strategies: tuple[str, ...] = option(
        (), "Strategy; may be repeated. dynamic, oracle, static, fixed-random if left out.", flag="--strategy"
    )
    thresholds: tuple[float, ...] = option(
        (), "RIND threshold; may be repeated. 0.4, 0.8, 1.2, 1.6 and 2.4 if left out.", flag="--threshold"
    )
    ks: tuple[int, ...] = option((), "Context positions; may be repeated. 4, 8, 16, 32 and 64 if left out.", flag="-k")
    windows: tuple[int, ...] = option((), "Tokens to either side; may be repeated. 8, 16, 32, 64 and 128 if left out.", flag="--window")
    probe: str | None = option(None, "Folder of a probe of this model for dynamic; one is fitted on other questions when left out.")
    mode: str = option("mask", "mask or text: hide the rest of the context, or build a shorter prompt from the windows.")
    seed: int = _seed()
    style: str | None = _style()
    data: str | None = _data()
    batch_size: int = option(4, "Questions answered together, each under all strategies and settings.", min=1)


@dataclass(frozen=True)
class CheckConfig:
    """What `mechdyn models check` was asked."""

    model: str = argument("one of `mechdyn models`, a local Hugging Face directory or a hub id")
    device: str | None = option(None, "cpu, cuda or cuda:N; a CUDA device if there is one, when left out.")
    device_map: str | None = option(None, "auto: spread the layers over all CUDA devices.")
    dtype: str | None = option(None, "float32, bfloat16 or float16; float32 on the CPU, else the checkpoint's own, when left out.")
    max_length: int | None = option(None, "The longest sequence that will be run; models with longrope scaling need it.", min=1)


@dataclass(frozen=True)
class AppConfig:
    """What `mechdyn app` was asked."""

    model: str = _model()
    host: str = option("127.0.0.1", "Address to listen on; other than this machine's own, it lets others use the model.")
    port: int = option(8050, "Port to listen on; 0 takes any free one.", min=0, max=65535)
    dark: bool = option(False, "A dark page.")


@dataclass(frozen=True)
class BudgetConfig:
    """What `mechdyn budget` was asked."""

    model: str = _model()
    lengths: tuple[int, ...] = option((512,), "Prompt length in tokens; may be repeated.", flag="--length/--lengths")
    runs: int = option(1, "Samples of each length.", min=1)
    conditions: int = option(1, "Ways in which each sample is continued, as the conditions of an ablation.", min=1)
    ablate: bool = option(False, "Heads are switched off at each step: one forward observes, a second is ablated.")
    max_new_tokens: int = option(64, "Tokens of an answer, at most.", min=1)
    batch_size: int = _batch_size()
    device: str | None = option(None, "cpu or cuda (measured here), h100, h200, a100-80gb, l40s or rtx4090; as for loading if left out.")
    dtype: str | None = option(None, "float32, bfloat16 or float16; as for loading if left out.")
