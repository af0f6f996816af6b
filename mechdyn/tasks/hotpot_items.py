"""Questions in HotpotQA's JSON layout: from a file or the Hugging Face hub, each checked."""

import json
import logging
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mechdyn.errors import InputError

Item = dict[str, Any]
"""One question: `_id`, `question`, `answer`, `context`, `supporting_facts`, and as a rule `type` and `level`."""
_TEXTS = ("question", "answer")
_LISTS = ("context", "supporting_facts")
_OPTIONAL = ("type", "level")
_SHOWN = 60
MALFORMED = ("error", "skip")
_REASONS_SHOWN = 3
_log = logging.getLogger(__name__)


def read_items(path: str | Path, malformed: str = "error") -> list[Item]:
    """The questions of a file in HotpotQA's official layout (2WikiMultihopQA's is the same, without `level`), each checked.

    Args:
        path: the file.
        malformed: `error` refuses a file of which one question is not of the layout; `skip` leaves such questions out, and a second one
            of the same id too. How many were left out, and why the first ones, is logged as a warning.

    Raises:
        InputError: a file that is not there, is no JSON or holds no question, or a malformed question; the message names the question and
            the field. Under `skip`, a file of which no question is left.
    """
    _check_choice(malformed)
    path = Path(path)
    try:
        items = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"questions {path} cannot be read ({error.strerror}); give a JSON file in HotpotQA's layout") from error
    except (ValueError, RecursionError) as error:
        remedy = "put its lines, which are JSON each, into one list" if _is_json_lines(path) else "give a JSON file in HotpotQA's layout"
        raise InputError(f"questions {path} are not JSON ({error}); {remedy}") from error
    if not isinstance(items, list) or not items:
        found = "an empty list" if items == [] else f"a JSON {type(items).__name__}"
        raise InputError(f"questions {path} must hold a list with at least one question, got {found}")
    return _sound_items(items, f"questions {path}: ", malformed)


def check_item(item: Any, name: str = "the item") -> None:
    """Refuse an item that is not of the official layout; `name` stands for a question without an id.

    A title may come twice only where the paragraphs are the same and no supporting fact names it, as 2WikiMultihopQA has it.
    """
    if not isinstance(item, Mapping):
        raise InputError(f"{name} must be an object with the fields of HotpotQA's layout, got {type(item).__name__}")
    if not isinstance(item.get("_id"), str) or not item["_id"] or not item["_id"].isprintable():
        raise InputError(f"{name}: field '_id' must be text of one line, got {_found(item, '_id')}")
    name = f"question {item['_id']}"
    for field in _TEXTS:
        if not _is_text(item.get(field)) or not item[field].strip():
            raise InputError(f"{name}: field {field!r} must be text, got {_found(item, field)}")
    for field in _OPTIONAL:
        if item.get(field) is not None and not _is_text(item[field]):
            raise InputError(f"{name}: field {field!r} must be text or left out, got {_found(item, field)}")
    for field in _LISTS:
        if not isinstance(item.get(field), list | tuple) or not item[field]:
            raise InputError(f"{name}: field {field!r} must be a list with at least one pair, got {_found(item, field)}")
    _check_facts(item, name, _check_context(item["context"], name))


def _sound_items(items: Sequence[Any], where: str, malformed: str) -> list[Item]:
    """The items that are of the layout, each id once. Another item is an error, or is left out and counted in the log."""
    sound: dict[str, Item] = {}
    reasons = []
    for number, item in enumerate(items):
        try:
            check_item(item, f"item {number}")
            if item["_id"] in sound:
                raise InputError(f"question {item['_id']}: field '_id' comes twice; ids must differ, answers are looked up by them")
        except InputError as error:
            if malformed == "error":
                raise InputError(f"{where}{error}") from error
            reasons.append(str(error))
        else:
            sound[item["_id"]] = item
    if reasons:
        more = len(reasons) - _REASONS_SHOWN
        shown = "; ".join(reasons[:_REASONS_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        if not sound:
            raise InputError(f"{where}none of {len(items)} questions is of HotpotQA's layout ({shown}); give a file in that layout")
        _log.warning("%sleft out %d of %d malformed questions: %s", where, len(reasons), len(items), shown)
    return list(sound.values())


def _check_choice(malformed: str) -> None:
    if malformed not in MALFORMED:
        raise InputError(f"malformed must be one of {', '.join(MALFORMED)}, got {malformed!r}")


def _check_context(context: Any, name: str) -> dict[str, list[list[str]]]:
    """The paragraphs of every title."""
    paragraphs: dict[str, list[list[str]]] = {}
    for number, pair in enumerate(context):
        where = f"{name}: field 'context', paragraph {number}"
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise InputError(f"{where}: a paragraph is [title, [sentence, ...]], got {_short(pair)}")
        title, sentences = pair
        if not _is_text(title):
            raise InputError(f"{where}: a title is text, got {_short(title)}")
        if not isinstance(sentences, list | tuple):
            raise InputError(f"{where}: sentences are a list of texts, got {_short(sentences)}")
        for sentence in sentences:
            if not _is_text(sentence):
                raise InputError(f"{where}: a sentence is text, got {_short(sentence)}")
        paragraphs.setdefault(title, []).append(list(sentences))
    for title, copies in paragraphs.items():
        if any(copy != copies[0] for copy in copies):
            raise InputError(f"{name}: field 'context' has {len(copies)} different paragraphs with the title {title!r}; titles must differ")
    return paragraphs


def _check_facts(item: Mapping[str, Any], name: str, paragraphs: dict[str, list[list[str]]]) -> None:
    for fact in item["supporting_facts"]:
        where = f"{name}: field 'supporting_facts'"
        if not isinstance(fact, list | tuple) or len(fact) != 2 or not isinstance(fact[0], str) or type(fact[1]) is not int:
            raise InputError(f"{where}: a fact is [title, sentence index], got {_short(fact)}")
        title, index = fact
        if title not in paragraphs:
            raise InputError(f"{where} names the title {title!r}, which no paragraph of 'context' has")
        if len(paragraphs[title]) > 1:
            raise InputError(
                f"{where} names the title {title!r}, which {len(paragraphs[title])} paragraphs of 'context' have; titles must differ"
            )
        n_sentences = len(paragraphs[title][0])
        if not 0 <= index < n_sentences:
            raise InputError(f"{where} names sentence {index} of {title!r}, which has {n_sentences} sentences, counted from 0")


def _found(item: Mapping[str, Any], field: str) -> str:
    return _short(item[field]) if field in item else "nothing (it is missing)"


def _short(value: Any) -> str:
    quoting = reprlib.Repr()  # stops at a few levels: a file may nest deeper than Python can print
    quoting.maxlevel, quoting.maxstring, quoting.maxother = 4, _SHOWN, _SHOWN
    text = quoting.repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _is_text(value: Any) -> bool:
    """Text that can be written down: JSON can spell half of a surrogate pair, which no tokenizer takes."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_json_lines(path: Path) -> bool:
    """Whether the first line is an object of its own, and another line follows."""
    first, _, rest = path.read_bytes().partition(b"\n")
    try:
        return bool(rest.strip()) and isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


_HUB = "hub:"
_CONFIG, _SPLIT = "distractor", "validation"


def load_items(source: str | Path, malformed: str = "error") -> list[Item]:
    """The questions of a file in HotpotQA's layout, or of `hub:OWNER/NAME[@REVISION][:CONFIG[:SPLIT]]`, each checked.

    What is left out of a hub address is as in `from_hub`; an empty CONFIG means none. `malformed` is as in `read_items`.
    """
    if not str(source).startswith(_HUB):
        return read_items(source, malformed)
    name, *rest = str(source).removeprefix(_HUB).split(":")
    name, _, revision = name.partition("@")
    if not name or len(rest) > 2:
        raise InputError(f"a dataset on the hub is written {_HUB}OWNER/NAME, {_HUB}OWNER/NAME:CONFIG:SPLIT or with @REVISION, got {source}")
    config, split = (*rest, *(_CONFIG, _SPLIT)[len(rest) :])
    return from_hub(name, config=config or None, split=split or _SPLIT, revision=revision or None, malformed=malformed)


def from_hub(
    name: str = "hotpotqa/hotpot_qa",
    *,
    config: str | None = _CONFIG,
    split: str = _SPLIT,
    revision: str | None = None,
    malformed: str = "error",
) -> list[Item]:
    """The questions of a dataset on the Hugging Face hub, in the official layout, each checked.

    Args:
        name: a dataset with the columns of hotpotqa/hotpot_qa; its hub copies of 2WikiMultihopQA have them too. A local folder of
            such a dataset serves as well.
        config: the dataset's configuration; HotpotQA's distractor setting.
        split: train or validation; HotpotQA's test split has no answers.
        revision: a commit or tag of the dataset, to hold it fixed.
        malformed: as in `read_items`.
    """
    _check_choice(malformed)
    from datasets import load_dataset  # seconds to import, and needed here alone
    from datasets.exceptions import DatasetsError

    try:
        rows = load_dataset(name, config, split=split, revision=revision)
    except (OSError, ValueError, DatasetsError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"dataset {name} ({config}, {split}) cannot be loaded: {reason}; without a network give a local file") from error
    items = [official_layout(row) for row in rows]
    if not items:
        raise InputError(f"dataset {name} ({config}, {split}) holds no question; choose another split")
    return _sound_items(items, f"dataset {name}: ", malformed)


def official_layout(row: Mapping[str, Any]) -> Item:
    """A hub row as an official item.

    Its context is a table of columns, {title: [...], sentences: [[...], ...]}, and so are its facts, {title: [...], sent_id: [...]}.
    """
    item = {"_id": row.get("id"), **{field: value for field, value in row.items() if field != "id"}}
    for field, columns in (("context", ("title", "sentences")), ("supporting_facts", ("title", "sent_id"))):
        table = row.get(field)
        if not isinstance(table, Mapping) or not all(column in table for column in columns):
            raise InputError(
                f"question {item['_id']}: field {field!r} must have the columns {' and '.join(columns)}, as in hotpotqa/hotpot_qa"
            )
        left, right = (table[column] for column in columns)
        if len(left) != len(right):
            raise InputError(f"question {item['_id']}: field {field!r} has {len(left)} of {columns[0]} and {len(right)} of {columns[1]}")
        item[field] = [list(pair) for pair in zip(left, right, strict=True)]
    return item
