"""Tasks whose samples are made up: to a length in tokens, with the evidence at a depth, drawn by a seed."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar

from mechdyn.hashing import content_hash
from mechdyn.tasks.chat import positions_of, token_spans
from mechdyn.tasks.fitting import Fitted, check_request
from mechdyn.tasks.haystack import read_haystack
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.task import RETEST, SampleSet, Spec, Task, depth_bin, option, prepared


@dataclass(frozen=True)
class Place:
    """What one sample is drawn by.

    Attributes:
        length: tokens of the whole prompt.
        depth: where the evidence goes, 0 (start) to 1 (end).
        seed: draws everything but the evidence.
        needle_seed: draws the evidence and the question: the same one at another seed or depth is a retest.
    """

    length: int
    depth: float
    seed: int
    needle_seed: int


@dataclass(frozen=True)
class MadeTask(Task):
    """What such tasks share. A subclass has its options as fields and says in `make` how a sample comes about."""

    axes: ClassVar[tuple[str, ...]] = ("length", "depth")
    has_retest: ClassVar[bool] = True

    def samples(self, wanted: SampleSet) -> list[Spec]:
        return [self.spec(*cell, seed) for cell, seed in zip(wanted.cells, wanted.seeds(), strict=True)]

    def retest(self, wanted: SampleSet) -> list[Spec]:
        """The same evidence in other contexts, each two depths further on."""
        depths = list(dict.fromkeys(depth for _, depth in wanted.cells))
        needles, seeds = wanted.seeds(), wanted.seeds(RETEST)
        return [
            self.spec(length, depths[(depths.index(depth) + 2) % len(depths)], seed) | {"needle_seed": needle}
            for (length, depth), needle, seed in zip(wanted.cells, needles, seeds, strict=True)
        ]

    def single(self, *, length: int, depth: float, seed: int, named: str | None = None) -> Spec:
        return self.spec(length, depth, seed) if named is None else super().single(length=length, depth=depth, seed=seed, named=named)

    def spec(self, length: int, depth: float, seed: int) -> Spec:
        """The spec of one sample: its place and the options that are set."""
        place: Spec = {"length": length, "seed": seed} | ({"depth": depth} if "depth" in self.axes else {})
        return place | self.options()

    def options(self) -> dict[str, Any]:
        """The options that are set, by name."""
        own = {item.name: getattr(self, item.name) for item in fields(self) if not item.metadata.get("prepared")}
        return {name: value for name, value in own.items() if value is not None}

    def sample(self, model_or_tokenizer: Any, *, length: int, depth: float = 0.5, seed: int = 0, needle_seed: int | None = None) -> Sample:
        """One sample with the task's options.

        Args:
            model_or_tokenizer: what `load_model` returned, or a fast tokenizer.
            length: tokens of the whole rendered prompt; met exactly where the tokenizer allows, never exceeded.
            depth: where the evidence goes, 0 (start) to 1 (end).
            seed: draws what the evidence stands in, and the evidence itself.
            needle_seed: draws the evidence and the question instead: the same one at another seed or depth is a retest.

        Raises:
            InputError: options that cannot be run, a depth outside [0, 1], or a length that cannot hold the evidence or is beyond the
                model's context.
        """
        self.check()
        check_request(length, depth, getattr(model_or_tokenizer, "n_ctx", None))
        place = Place(length, depth, seed, seed if needle_seed is None else needle_seed)
        return self.make(getattr(model_or_tokenizer, "tokenizer", model_or_tokenizer), place)

    def make(self, tokenizer: Any, place: Place) -> Sample:
        """The sample of a place; options and place have been checked."""
        raise NotImplementedError

    @classmethod
    def build(cls, model_or_tokenizer: Any, **spec: Any) -> Sample:
        """What `sample` makes of the options and the place in a spec."""
        place = {name: spec.pop(name) for name in ("length", "depth", "seed", "needle_seed") if name in spec}
        return cls(**spec).sample(model_or_tokenizer, **place)

    @classmethod
    def cell(cls, meta: Mapping[str, Any]) -> tuple[int, float]:
        return meta["length"], meta["depth"] if "depth" in cls.axes else depth_bin(meta["depth"])

    def finished(self, fitted: Fitted, place: Place, *, question: str, answer: str, **meta: Any) -> Sample:
        """The sample of a fitted prompt.

        `meta` has the place, the options that are set, what is given here, and in `fact_tokens` and `distractor_tokens` the positions
        [start, end) of the tokens of each piece of evidence, and of each thing that looks like it.
        """
        told = {"length": place.length, "depth": place.depth, "seed": place.seed, "needle_seed": place.needle_seed}
        spans = {"fact_tokens": token_spans(fitted.prompt, fitted.evidence), "distractor_tokens": token_spans(fitted.prompt, fitted.others)}
        return Sample(
            task=self.name,
            prompt=fitted.prompt.text,
            tokens=fitted.prompt.tokens,
            needle_spans=fitted.evidence,
            needle_positions=positions_of(fitted.prompt, fitted.evidence),
            context_span=fitted.context_span,
            question=question,
            answer=answer,
            meta={**self.options(), **told, **spans, **meta},
        )


@dataclass(frozen=True)
class HaystackTask(MadeTask):
    """A made task whose evidence lies in prose: procedural, or of files of the user's."""

    haystack: str | None = option(None, "Text file or folder of .txt files; procedural prose when left out.")
    digest: str | None = prepared(None)

    def prepare(self, model: Any, room: int) -> Task:
        """Hash the haystack: files of one name may differ."""
        return self if self.haystack is None else replace(self, digest=content_hash(read_haystack(self.haystack)))

    def spec(self, length: int, depth: float, seed: int) -> Spec:
        return super().spec(length, depth, seed) | ({} if self.haystack is None else {"haystack_digest": self.digest})

    @classmethod
    def build(cls, model_or_tokenizer: Any, *, haystack_digest: str | None = None, **spec: Any) -> Sample:
        """What `sample` makes; the digest only tells files of one name apart in a unit's key."""
        return super().build(model_or_tokenizer, **spec)

    def finished(self, fitted: Fitted, place: Place, *, question: str, answer: str, **meta: Any) -> Sample:
        """As for every made task; `meta` names the haystack's file."""
        name = "procedural" if self.haystack is None else Path(self.haystack).name
        return super().finished(fitted, place, question=question, answer=answer, haystack=name, **meta)
