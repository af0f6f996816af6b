"""Questions from the Hugging Face hub, or from wherever the user says they are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mechdyn.errors import InputError
from mechdyn.tasks.hotpot_items import Item, check_items, read_items

_HUB = "hub:"
_CONFIG, _SPLIT = "distractor", "validation"


def load_items(source: str | Path) -> list[Item]:
    """The questions of a file in HotpotQA's layout, or of `hub:OWNER/NAME[@REVISION][:CONFIG[:SPLIT]]`, each checked.

    What is left out of a hub address is as in `from_hub`; an empty CONFIG means none.
    """
    if not str(source).startswith(_HUB):
        return read_items(source)
    name, *rest = str(source).removeprefix(_HUB).split(":")
    name, _, revision = name.partition("@")
    if not name or len(rest) > 2:
        raise InputError(f"a dataset on the hub is written {_HUB}OWNER/NAME, {_HUB}OWNER/NAME:CONFIG:SPLIT or with @REVISION, got {source}")
    config, split = (*rest, *(_CONFIG, _SPLIT)[len(rest) :])
    return from_hub(name, config=config or None, split=split or _SPLIT, revision=revision or None)


def from_hub(
    name: str = "hotpotqa/hotpot_qa", *, config: str | None = _CONFIG, split: str = _SPLIT, revision: str | None = None
) -> list[Item]:
    """The questions of a dataset on the Hugging Face hub, in the official layout, each checked.

    Args:
        name: a dataset with the columns of hotpotqa/hotpot_qa; its hub copies of 2WikiMultihopQA have them too. A local folder of
            such a dataset serves as well.
        config: the dataset's configuration; HotpotQA's distractor setting.
        split: train or validation; HotpotQA's test split has no answers.
        revision: a commit or tag of the dataset, to hold it fixed.
    """
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
    check_items(items, f"dataset {name}: ")
    return items


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
