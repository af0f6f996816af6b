"""Multi-hop questions in HotpotQA's JSON layout: how context and question are put to a model, and where the supporting facts are.

Any dataset in that layout works (HotpotQA, 2WikiMultihopQA, the procedural world): a list of items with `_id`, `question`, `answer`,
`context` as [title, [sentence, ...]] pairs and `supporting_facts` as [title, sentence index] pairs. Sentences are kept to the character,
HTML entities, leading spaces and empty ones included, since the indices count them.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from mechdyn.errors import InputError
from mechdyn.hashing import content_hash
from mechdyn.tasks.chat import Prompt, locate, positions_of, render, token_spans
from mechdyn.tasks.hotpot_items import Item, check_item, load_items
from mechdyn.tasks.niah import SYSTEM, user_text
from mechdyn.tasks.questions import INSTRUCTIONS, Questions, check_style, lay_out
from mechdyn.tasks.sample import Sample, Span
from mechdyn.tasks.task import RETEST, FileTask, SampleSet, Spec, Task, option, task


@task
@dataclass(frozen=True)
class HotpotQA(FileTask, Questions):
    """The questions of a file in HotpotQA's layout, or of a dataset on the hub."""

    name: ClassVar[str] = "hotpotqa"
    max_new_tokens: ClassVar[int] = 128
    has_retest: ClassVar[bool] = True
    wants: ClassVar[str] = "a file of questions in HotpotQA's JSON layout; give one with --data FILE, or --data hub:hotpotqa/hotpot_qa"

    malformed: str = option("error", "error, or skip: leave questions out that are not of the layout, and say how many.")

    def prepare(self, model: Any, room: int) -> Task:
        items = load_items(str(self.data), self.malformed)
        ids = tuple(item["_id"] for item in items if _fits(self.of_item(model, item), model.n_ctx, room))
        return self.ready(model, content_hash(items), ids, len(items), least=2)

    def spec_of(self, name: str) -> Spec:
        return {**super().spec_of(name), "style": self.style}

    def retest(self, wanted: SampleSet) -> list[Spec]:
        """The same questions, their paragraphs in another order."""
        return [{**spec, "order": seed} for spec, seed in zip(self.samples(wanted), wanted.seeds(RETEST), strict=False)]

    def of_item(self, model_or_tokenizer: Any, item: Mapping[str, Any], order: int | None = None) -> Sample:
        """The sample of an item with the task's options, its paragraphs `reordered`; it may be longer than the model's context."""
        check_item(item)
        return question_sample(model_or_tokenizer, reordered(item, order), style=self.style, task=self.name)

    @classmethod
    def build(
        cls,
        model_or_tokenizer: Any,
        *,
        file: str,
        id: str,
        file_digest: str | None = None,
        order: int | None = None,
        room: int = 1,
        **options: Any,
    ) -> Sample:
        """The question with this id from a file in HotpotQA's layout, or from the hub as `load_items` addresses it.

        Raises:
            InputError: a file that cannot be read or that is not what `file_digest` was taken of, or an id that it lacks.
        """
        questions = _questions(file, file_digest) if file_digest else _read(file)
        if id not in questions:
            raise InputError(f"questions {file} hold no question with the id {id!r}; give one of its {len(questions)} ids")
        made = cls(data=file, **options)
        made.check()
        sample = made.of_item(model_or_tokenizer, questions[id], order)
        return _of_length(sample, id, getattr(model_or_tokenizer, "n_ctx", None), room)


def reordered(item: Mapping[str, Any], order: int | None) -> Mapping[str, Any]:
    """The item with its paragraphs in another order, drawn by the number; as it is where that is None, or where there is one paragraph."""
    context = list(item["context"])
    if order is None or len(context) < 2:
        return item
    rng = random.Random(f"order-{order}-{item['_id']}")
    places = list(range(len(context)))
    while places == sorted(places):
        rng.shuffle(places)
    return {**item, "context": [context[place] for place in places]}


@lru_cache(maxsize=2)
def _questions(file: str, digest: str) -> dict[str, Item]:
    """Read once for all units that name the same content."""
    # What is malformed was refused or left out when the digest was taken.
    questions = _read(file, "skip")
    found = content_hash(list(questions.values()))
    if found != digest:
        raise InputError(f"questions {file} changed: they were {digest} and are {found}; put the file back, or start a new run")
    return questions


def _read(file: str, malformed: str = "error") -> dict[str, Item]:
    return {item["_id"]: item for item in load_items(file, malformed)}


def hotpotqa(
    model_or_tokenizer: Any,
    item: Mapping[str, Any],
    *,
    style: str = "rationale",
    room: int = 1,
    task: str = "hotpotqa",
) -> Sample:
    """One question with its context, its needles the supporting facts.

    `needle_spans` has one span for each fact, in the order of `supporting_facts` without repeats, the whole sentence with the white space
    that belongs to it; facts whose sentence is empty have none. `meta` holds `id`, `type`, `level`, `style`, `facts` (one a span),
    `fact_tokens` (the positions [start, end) of each fact's tokens), `distractors` and `distractor_tokens` (as many sentences of like
    length from paragraphs without a supporting fact, to compare with), `context` (the item's, so that an answer can be held against its
    sentences), `length` (tokens of the prompt) and `depth` (mean place of the facts' middles in the context, 0 its start, 1 its end).

    Args:
        model_or_tokenizer: what `load_model` returned, or a fast tokenizer.
        item: one item of the official layout (`read_items`, `from_hub`, `world_items`).
        style: `rationale` asks for a short rationale that ends in "So the answer is", `direct` for the answer alone.
        room: positions of the model's context to keep free for the answer.
        task: the sample's task, which decides how its answer is judged.

    Raises:
        InputError: an item that is malformed, a style that does not exist, or a prompt longer than the model's context.
    """
    check_item(item)
    sample = question_sample(model_or_tokenizer, item, style=style, task=task)
    return _of_length(sample, item["_id"], getattr(model_or_tokenizer, "n_ctx", None), room)


@dataclass(frozen=True)
class LoadedSamples:
    """Samples in the order of the items, and the ids of the questions left out because their prompts were too long."""

    samples: tuple[Sample, ...]
    skipped: tuple[str, ...]


def load_samples(
    model_or_tokenizer: Any,
    items: Sequence[Mapping[str, Any]],
    *,
    style: str = "rationale",
    too_long: str = "error",
    room: int = 1,
    task: str = "hotpotqa",
) -> LoadedSamples:
    """A sample of every item.

    `too_long` says what becomes of a prompt that the model cannot hold (with `room` positions for the answer): `error`, or `skip`, which
    leaves it out and lists it in `skipped`. The other arguments are those of `hotpotqa`.
    """
    if not items:
        raise InputError("there are no questions to load; give at least one item")
    if too_long not in ("error", "skip"):
        raise InputError(f'too_long must be "error" or "skip", got {too_long!r}')
    if too_long == "error":
        return LoadedSamples(tuple(hotpotqa(model_or_tokenizer, item, style=style, room=room, task=task) for item in items), ())
    n_ctx = getattr(model_or_tokenizer, "n_ctx", None)
    samples, skipped = [], []
    for item in items:
        check_item(item)
        sample = question_sample(model_or_tokenizer, item, style=style, task=task)
        if _fits(sample, n_ctx, room):
            samples.append(sample)
        else:
            skipped.append(item["_id"])
    return LoadedSamples(tuple(samples), tuple(skipped))


def select(items: Sequence[Item], n: int | None = None, seed: int = 0, *, type: str | None = None, level: str | None = None) -> list[Item]:
    """`n` items at random (all, shuffled, where left out), of one type and level if asked; the first k of n are those of `n = k`.

    Raises:
        InputError: fewer than `n` items of that type and level, or items without the field asked for.
    """
    wanted = {field: value for field, value in (("type", type), ("level", level)) if value is not None}
    for field in wanted:
        for item in items:
            if field not in item:
                raise InputError(f"question {item['_id']}: field {field!r} is missing, so items cannot be chosen by it; leave {field} out")
    pool = [item for item in items if all(item[field] == value for field, value in wanted.items())]
    n = len(pool) if n is None else n
    if not 0 < n <= len(pool):
        found = ", ".join(f"{field} {sorted({str(item[field]) for item in items})}" for field in wanted)
        raise InputError(
            f"{n} items wanted, {len(pool)} of {len(items)} match{f' {wanted}; the items have {found}' if wanted else ''}; ask for fewer"
        )
    random.Random(f"select-{seed}").shuffle(pool)
    return pool[:n]


def question_sample(
    model_or_tokenizer: Any, item: Mapping[str, Any], *, style: str, task: str, instruction: str | None = None, evidence: bool = True
) -> Sample:
    """As `hotpotqa`, however long the prompt is.

    Args:
        model_or_tokenizer: what `load_model` returned, or a fast tokenizer.
        item: one item of the official layout, which has been checked.
        style: as in `hotpotqa`.
        task: the sample's task.
        instruction: what to ask for in place of the style's instruction.
        evidence: False for an item whose supporting sentences are empty on purpose; else that is an error.
    """
    check_style(style)
    context, sentence_spans = lay_out(item["context"])
    user = user_text(context, item["question"], instruction or INSTRUCTIONS[style])
    prompt = render(getattr(model_or_tokenizer, "tokenizer", model_or_tokenizer), SYSTEM, user)
    start = locate(prompt, user, "context or the question") + user.index(context)
    facts = _facts_with_text(item, sentence_spans)
    if evidence and not facts:
        raise InputError(f"question {item['_id']}: field 'supporting_facts' names empty sentences only; there is no evidence to mark")
    spans = tuple((start + begin, start + end) for begin, end in facts.values())
    fact_tokens = token_spans(prompt, spans)
    distractors = _distractors(item, prompt, sentence_spans, start, fact_tokens)
    depths = [(begin + end) / 2 / len(context) for begin, end in facts.values()]
    return Sample(
        task=task,
        prompt=prompt.text,
        tokens=prompt.tokens,
        needle_spans=spans,
        needle_positions=positions_of(prompt, spans),
        context_span=(start, start + len(context)),
        question=item["question"],
        answer=item["answer"],
        meta={
            "id": item["_id"],
            "type": item.get("type"),
            "level": item.get("level"),
            "style": style,
            "facts": [list(fact) for fact in facts],
            "fact_tokens": fact_tokens,
            "distractors": [list(place) for place in distractors],
            "distractor_tokens": list(distractors.values()),
            "context": [[title, list(sentences)] for title, sentences in item["context"]],
            "length": len(prompt.tokens),
            "depth": round(sum(depths) / len(depths), 6) if depths else None,
        },
    )


def _facts_with_text(item: Mapping[str, Any], sentence_spans: list[list[Span]]) -> dict[tuple[str, int], Span]:
    """Supporting facts, without repeats and without empty sentences, and the characters of each in the context."""
    paragraph = {title: spans for (title, _), spans in zip(item["context"], sentence_spans, strict=True)}
    facts = {(title, index): paragraph[title][index] for title, index in item["supporting_facts"]}
    return {fact: (start, end) for fact, (start, end) in facts.items() if end > start}


def _distractors(
    item: Mapping[str, Any], prompt: Prompt, sentence_spans: list[list[Span]], start: int, fact_tokens: Sequence[Sequence[int]]
) -> dict[tuple[str, int], list[int]]:
    """For each fact the sentence nearest to it in number of tokens, no sentence twice, with its tokens; the first of several.

    Only paragraphs without a supporting fact have distractors; where they have too few sentences, some facts go without.
    """
    named = {title for title, _ in item["supporting_facts"]}
    places = {
        (title, index): (start + begin, start + end)
        for (title, sentences), spans in zip(item["context"], sentence_spans, strict=True)
        for index, (sentence, (begin, end)) in enumerate(zip(sentences, spans, strict=True))
        if title not in named and sentence.strip()
    }
    left = {
        place: tokens for place, tokens in zip(places, token_spans(prompt, tuple(places.values())), strict=True) if tokens[1] > tokens[0]
    }
    chosen = {}
    for first, last in fact_tokens[: len(left)]:
        nearest = min(left, key=lambda place: abs(left[place][1] - left[place][0] - (last - first)))
        chosen[nearest] = left.pop(nearest)
    return chosen


def _of_length(sample: Sample, name: str, n_ctx: int | None, room: int) -> Sample:
    """The sample, which must leave the model its room."""
    if not _fits(sample, n_ctx, room):
        raise InputError(
            f"question {name}: its prompt has {len(sample)} tokens and the model holds {n_ctx}, {room} of them kept for the answer; "
            'take a shorter question, or leave such ones out with load_samples(..., too_long="skip")'
        )
    return sample


def _fits(sample: Sample, n_ctx: int | None, room: int) -> bool:
    return n_ctx is None or len(sample) + room <= n_ctx
