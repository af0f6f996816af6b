"""What the commands that improve a model can be asked; each composes its own options with `ImproveOptions`."""

from dataclasses import dataclass
from typing import ClassVar

from mechdyn.runs.configs import RunOptions, SampleOptions, ScoreOptions, TaskOptions, option

ANSWERS, PLANNED = "answers.jsonl", "planned.json"
"""Files of such a run: a line for each answer and each text of drift; how many there will be."""


@dataclass(frozen=True, kw_only=True)
class ImproveOptions(SampleOptions, ScoreOptions, TaskOptions, RunOptions):
    """What is improved, and what it is evaluated on."""

    on: tuple[str, ...] = option(
        (),
        "Task to evaluate on, as --task takes it: niah, world, hotpotqa:data=FILE, citations:data=FILE, …; may be repeated. niah and world "
        "when left out.",
    )
    texts: int = option(8, "Texts with nothing to retrieve in them, on which drift is measured; 0 for none.", min=0, max=10_000)
    text_length: int = option(256, "Tokens of each of these texts.", min=2)
    text_file: str | None = option(None, "A text file or folder of .txt files for them; procedural prose when left out.")


@dataclass(frozen=True, kw_only=True)
class DecoreConfig(ImproveOptions):
    """What `mechdyn improve decore` was asked."""

    kind: ClassVar[str] = "decore"
    heads: str | None = option(
        None, "Heads of the weaker model: a file of ranked heads, FILE:format=…, or 'L3H6 L4H1'. Detected on --task when left out."
    )
    top: int | None = option(None, "How many of the first of a ranking; the first 5 %, at most 30, when left out.", min=1)
    methods: tuple[str, ...] = option(
        (), "uniform (published) or zero: what takes the heads' place; may be repeated. Both when left out.", flag="--method"
    )
    schedules: tuple[str, ...] = option(
        (), "static (the heads above) or dynamic (each step's own); may be repeated. Both when left out.", flag="--schedule"
    )
    alpha: float | None = option(None, "A fixed strength in place of the base distribution's entropy; 0 is greedy decoding.", min=0)
    cap: float | None = option(None, "The entropy counts up to this many nats.", min=0)
    scaled: bool = option(False, "Divide the entropy by that of an even distribution over the vocabulary.")
