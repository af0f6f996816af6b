"""Your own text: a context, the spans of it that matter, and a question; one at a time or a file of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from mechdyn.errors import InputError
from mechdyn.hashing import content_hash
from mechdyn.metrics import contains_answer, exact_match, extract_answer, f1
from mechdyn.tasks.chat import Prompt, encode, locate, positions_of, render, require_offsets, token_spans
from mechdyn.tasks.niah import INSTRUCTION, SYSTEM, user_text
from mechdyn.tasks.sample import Sample, Span
from mechdyn.tasks.task import FileTask, Task, task

FIELDS = ("context", "question", "spans", "answer", "system", "prompt")
"""What an object of a file may hold, beside an `id`."""
_SHOWN = 40


def sample(
    model_or_tokenizer: Any,
    *,
    context: str | None = None,
    question: str = "",
    spans: Sequence[Sequence[int] | str] = (),
    answer: str = "",
    system: str | None = None,
    prompt: str | None = None,
) -> Sample:
    """A sample from a text of your own.

    Args:
        model_or_tokenizer: what `load_model` returned, or a fast tokenizer.
        context: the text to retrieve from; put into the same frame as a needle's haystack, through the model's chat template.
        question: what is asked about it.
        spans: where the evidence stands: [start, end) characters of the context, or text quoted from it that occurs there once. Of a
            rendered prompt without `context` they are of the prompt.
        answer: what a right answer contains; without one, answers are not judged.
        system: the system text in place of A.1's.
        prompt: a whole rendered prompt of your own, special tokens included, in place of frame and template; `context` then says which
            part of it is to be retrieved from.

    Returns:
        The sample; `meta["fact_tokens"]` has the positions [start, end) of each span's tokens.

    Raises:
        InputError: neither context nor prompt, a span outside the text, or a quoted one that does not occur in it or more than once.
    """
    tokenizer = getattr(model_or_tokenizer, "tokenizer", model_or_tokenizer)
    require_offsets(tokenizer)
    rendered, start, text = _rendered(tokenizer, context, question, system, prompt)
    places = tuple((start + begin, start + end) for begin, end in (_place(span, text) for span in spans))
    middles = [(begin + end) / 2 - start for begin, end in places]
    return Sample(
        task="own",
        prompt=rendered.text,
        tokens=rendered.tokens,
        needle_spans=places,
        needle_positions=positions_of(rendered, places),
        context_span=(start, start + len(text)),
        question=question,
        answer=answer,
        meta={
            "length": len(rendered.tokens),
            "depth": round(sum(middles) / len(middles) / len(text), 6) if middles else None,
            "fact_tokens": token_spans(rendered, places),
        },
    )


@task
@dataclass(frozen=True)
class Own(FileTask):
    """Samples of a JSON-lines file, an object a line with the arguments of `mechdyn.sample`.

    Accuracy is whether the text contains the answer, EM and F1 are those of the official HotpotQA evaluation. Heads are found by
    copy-paste, or by whatever `--score` says.
    """

    name: ClassVar[str] = "own"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "em", "f1")
    has_context: ClassVar[bool] = True
    wants: ClassVar[str] = f"a file with one JSON object a line, of the fields {', '.join(FIELDS)}; give one with --data FILE.jsonl"

    def prepare(self, model: Any, room: int) -> Task:
        items = read_own(str(self.data))
        lacking = [name for name, item in items.items() if not item.get("answer")]
        if lacking:
            raise InputError(
                f"item {lacking[0]!r} of {self.data} has no answer, so it cannot be judged; give each an answer, or trace it from Python"
            )
        fits = [name for name, item in items.items() if len(_of_item(model, name, item)) + room <= model.n_ctx]
        return self.ready(model, content_hash(items), tuple(fits), len(items))

    @classmethod
    def build(cls, model_or_tokenizer: Any, *, file: str, id: str, file_digest: str | None = None) -> Sample:
        """The item with this id (its line's number where it has none).

        Raises:
            InputError: a file that cannot be read or that is not what `file_digest` was taken of, or an id that it lacks.
        """
        items = _unchanged(file, file_digest) if file_digest else read_own(file)
        if id not in items:
            raise InputError(f"{file} holds no item {id!r}; give one of its {len(items)} ids")
        return _of_item(model_or_tokenizer, id, items[id])

    @classmethod
    def quality(cls, text: str, answer: str) -> dict[str, float]:
        """NaN where there is no answer to judge by."""
        if not answer:
            return dict.fromkeys(cls.metrics, float("nan"))
        extracted = extract_answer(text)
        return {"accuracy": contains_answer(text, answer), "em": exact_match(extracted, answer), "f1": f1(extracted, answer)}


def read_own(path: str | Path) -> dict[str, dict[str, Any]]:
    """The objects of a JSON-lines file by their id, the number of their line where they have none.

    Raises:
        InputError: a file that cannot be read or holds no object, or a line that is no object of `FIELDS`; the message names the line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"samples {path} cannot be read ({error.strerror}); give a file with one JSON object a line") from error
    except UnicodeDecodeError as error:
        raise InputError(f"samples {path} are not UTF-8 (byte {error.start}); convert the file to UTF-8 text") from error
    items: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            item = _parsed(line, f"samples {path}, line {number}")
            name = str(item.pop("id", number))
            if name in items:
                raise InputError(f"samples {path}, line {number}: the id {name!r} comes twice; ids must differ")
            items[name] = item
    if not items:
        raise InputError(f"samples {path} hold no object; write one a line, with the fields {', '.join(FIELDS)}")
    return items


def _parsed(line: str, where: str) -> dict[str, Any]:
    try:
        item = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error}); write one object a line") from error
    if not isinstance(item, dict):
        raise InputError(f"{where}: an object is needed, got {type(item).__name__}")
    unknown = sorted(item.keys() - {*FIELDS, "id"})
    if unknown:
        raise InputError(f"{where}: unknown field {unknown[0]!r}; fields are id, {', '.join(FIELDS)}")
    for name in ("context", "question", "answer", "system", "prompt"):
        if item.get(name) is not None and not isinstance(item[name], str):
            raise InputError(f"{where}: field {name!r} must be text, got {type(item[name]).__name__}")
    if not isinstance(item.get("spans", []), list):
        raise InputError(f"{where}: field 'spans' must be a list of [start, end] pairs or quoted texts, got {type(item['spans']).__name__}")
    return item


@lru_cache(maxsize=2)
def _unchanged(file: str, digest: str) -> Mapping[str, Mapping[str, Any]]:
    """Read once for all units that name the same content."""
    items = read_own(file)
    if content_hash(items) != digest:
        raise InputError(f"samples {file} changed since the run was planned; put the file back, or start a new run")
    return items


def _of_item(model_or_tokenizer: Any, name: str, item: Mapping[str, Any]) -> Sample:
    try:
        made = sample(model_or_tokenizer, **item)
    except InputError as error:
        raise InputError(f"item {name!r}: {error}") from error
    return replace(made, meta={**made.meta, "id": name})


def _rendered(tokenizer: Any, context: str | None, question: str, system: str | None, prompt: str | None) -> tuple[Prompt, int, str]:
    """The prompt, where the text that spans are of begins in it, and that text."""
    if prompt is not None:
        if system is not None:
            raise InputError("a whole prompt has its system text already; leave system out, or give context and question instead")
        rendered = encode(tokenizer, prompt, add_special_tokens=getattr(tokenizer, "chat_template", None) is None)
        if context is None:
            return rendered, 0, prompt
        start, end = _place(context, prompt, "context")
        return rendered, start, prompt[start:end]
    if context is None or not context.strip():
        raise InputError("a sample needs a context, or a whole rendered prompt; give context=… and question=…, or prompt=…")
    if not question.strip():
        raise InputError("a sample needs a question about its context; give question=…, or a whole rendered prompt=…")
    user = user_text(context, question, INSTRUCTION)
    rendered = render(tokenizer, SYSTEM if system is None else system, user)
    return rendered, locate(rendered, user, "context or the question") + user.index(context), context


def _place(span: Sequence[int] | str, text: str, what: str = "span") -> Span:
    """Where a span stands: as given, or where its quoted text occurs."""
    if isinstance(span, str):
        found = _places(text, span)
        short = span if len(span) <= _SHOWN else f"{span[:_SHOWN]}…"
        if not span or not found:
            raise InputError(
                f"the {what} {short!r} does not occur in the text; quote it to the letter, or give its characters as [start, end)"
            )
        if len(found) > 1:
            raise InputError(
                f"the {what} {short!r} occurs {len(found)} times, at characters {', '.join(map(str, found[:4]))}; give the characters of "
                f"the one that is meant, such as [{found[0]}, {found[0] + len(span)}), or quote more of it"
            )
        return found[0], found[0] + len(span)
    if len(span) != 2 or not all(isinstance(edge, int) and not isinstance(edge, bool) for edge in span):
        raise InputError(f"a {what} is [start, end) in characters, or quoted text, got {span!r}")
    start, end = span
    if not 0 <= start < end <= len(text):
        raise InputError(f"a {what} must lie in the text's {len(text)} characters and hold one or more, got [{start}, {end})")
    return start, end


def _places(text: str, wanted: str) -> list[int]:
    """Every place at which a text occurs, overlapping ones included."""
    found, start = list[int](), text.find(wanted) if wanted else -1
    while start >= 0:
        found.append(start)
        start = text.find(wanted, start + 1)
    return found
