"""Questions from the hub: rows become official items, local copies load without a network, addresses say which."""

import os
from pathlib import Path
from typing import Any

import datasets
import pytest

from mechdyn.errors import InputError
from mechdyn.tasks.hotpot_items import from_hub, load_items, official_layout
from mechdyn.tasks.world import world_items
from tests.tasks.test_hotpot_items import valid, written


def columns(item: dict[str, Any]) -> dict[str, Any]:
    """The same item as a row of the hub's dataset."""
    return {
        "id": item["_id"],
        **{field: item[field] for field in ("question", "answer", "type", "level")},
        "supporting_facts": {
            "title": [title for title, _ in item["supporting_facts"]],
            "sent_id": [i for _, i in item["supporting_facts"]],
        },
        "context": {"title": [title for title, _ in item["context"]], "sentences": [sentences for _, sentences in item["context"]]},
    }


@pytest.fixture
def copy(tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    """A local copy of a dataset with the hub's columns and two splits, the larger one in two Parquet files."""
    items = [valid(), *world_items(4, seed=0, n_chains=1)]
    for name, part in (("validation-00000-of-00002", items[:2]), ("validation-00001-of-00002", items[2:]), ("train-00000", items[:1])):
        datasets.Dataset.from_list([columns(item) for item in part]).to_parquet(tmp_path / "copy" / f"{name}.parquet")
    return tmp_path / "copy", items


def test_a_local_copy_gives_the_official_items(copy: tuple[Path, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, items = copy
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(folder.parent / "cache"))
    assert from_hub(str(folder), config=None) == items
    assert load_items(f"hub:{folder}:") == items
    assert load_items(f"hub:{folder}::train") == items[:1]
    with pytest.raises(InputError, match=r"cannot be loaded: Unknown split .*without a network give a local file"):
        load_items(f"hub:{folder}::test")


def test_without_a_network_it_says_so() -> None:
    assert os.environ["HF_DATASETS_OFFLINE"] == "1"
    with pytest.raises(
        InputError, match=r"dataset nobody/such-a-set \(distractor, validation\) cannot be loaded: .*; without a network"
    ) as caught:
        load_items("hub:nobody/such-a-set")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "asked"),
    [
        ("hub:hotpotqa/hotpot_qa", ("hotpotqa/hotpot_qa", "distractor", "validation", None)),
        ("hub:a/b:fullwiki", ("a/b", "fullwiki", "validation", None)),
        ("hub:a/b::train", ("a/b", None, "train", None)),
        ("hub:a/b@1f2e:distractor:train", ("a/b", "distractor", "train", "1f2e")),
        ("hub:a/b@1f2e", ("a/b", "distractor", "validation", "1f2e")),
    ],
)
def test_an_address_names_dataset_revision_config_and_split(address: str, asked: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def load_dataset(name: str, config: str | None, *, split: str, revision: str | None) -> datasets.Dataset:
        seen.append((name, config, split, revision))
        return datasets.Dataset.from_list([columns(valid())])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert load_items(address) == [valid()]
    assert seen == [asked]


@pytest.mark.parametrize("address", ["hub:", "hub:@1", "hub:a/b:c:d:e"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InputError, match=r"a dataset on the hub is written hub:OWNER/NAME, .* got hub:"):
        load_items(address)


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    assert load_items(written(tmp_path, [valid()])) == [valid()]
    assert load_items(str(written(tmp_path, [valid()]))) == [valid()]


def test_a_hub_row_is_the_official_item() -> None:
    assert official_layout(columns(valid())) == valid()


def test_questions_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [valid(), valid() | {"_id": "q2"}]
    asked = {}

    def load_dataset(name: str, config: str, **options: Any) -> datasets.Dataset:
        asked.update(options, name=name, config=config)
        return datasets.Dataset.from_list([columns(item) for item in items])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert from_hub(split="train", revision="abc") == items
    assert asked == {"name": "hotpotqa/hotpot_qa", "config": "distractor", "split": "train", "revision": "abc"}


def test_hub_datasets_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer_with(result: Any) -> None:
        def load_dataset(*_: Any, **__: Any) -> Any:
            if isinstance(result, Exception):
                raise result
            return result

        monkeypatch.setattr(datasets, "load_dataset", load_dataset)

    answer_with(ConnectionError("no route\nto the hub"))
    with pytest.raises(
        InputError, match=r"dataset a/b \(distractor, validation\) cannot be loaded: no route; without a network give a local file"
    ) as caught:
        from_hub("a/b")
    assert "\n" not in str(caught.value)
    answer_with([])
    with pytest.raises(InputError, match="holds no question; choose another split"):
        from_hub("a/b")
    answer_with([{"id": "q1", "question": "?", "context": "text"}])
    with pytest.raises(InputError, match="question q1: field 'context' must have the columns title and sentences"):
        from_hub("a/b")
    row = columns(valid())
    row["supporting_facts"]["sent_id"].pop()
    answer_with([row])
    with pytest.raises(InputError, match="question q1: field 'supporting_facts' has 2 of title and 1 of sent_id"):
        from_hub("a/b")
