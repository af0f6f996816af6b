"""Samples of any task by its spec, and texts with nothing to look up."""

import json

import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.improve.task_samples import prose_texts, samples_of_task
from mechdyn.models.load import load_model
from mechdyn.plans import DETECTION, Preset
from mechdyn.tasks.task import SampleSet, make_task
from mechdyn.tasks.world import world_items


@pytest.fixture(scope="module")
def model():
    return load_model("mini")


@pytest.fixture
def items(tmp_path):
    path = tmp_path / "items.json"
    path.write_text(json.dumps(world_items(8, seed=1, n_chains=2)))
    return path


def test_made_samples_are_those_of_the_evaluation_part(model):
    preset = Preset((150, 200), 1, (0.2, 0.8))
    found = samples_of_task(model, "niah", preset, seed=3)
    assert [len(sample) for sample in found.samples] == [150, 150, 200, 200] and found.room == 64
    assert found.cells() == list(preset.cells) and found.metrics == ("accuracy", "rouge_l")
    others = make_task("niah").samples(SampleSet(preset.cells, DETECTION, seed=3))
    assert not {sample.meta["seed"] for sample in found.samples} & {spec["seed"] for spec in others}


def test_questions_of_a_file_and_their_citations(model, items):
    preset = Preset((256,), 4, (0.5,))
    questions = samples_of_task(model, f"hotpotqa:data={items}", preset)
    assert len(questions.samples) == 4 and questions.metrics[:3] == ("f1", "em", "quote_f1")
    sample = questions.samples[0]
    context = dict(sample.meta["context"])
    rationale = " ".join(context[title][index].strip() for title, index in sample.meta["facts"]) + f" So the answer is {sample.answer}."
    assert set(questions.quality(sample, rationale).values()) == {1.0}
    cited = samples_of_task(model, f"citations:data={items}", preset)
    assert cited.metrics == ("f1", "em", "citation_f1", "citation_precision", "citation_recall")
    assert cited.quality(cited.samples[0], f"So the answer is {cited.samples[0].answer}.")["citation_recall"] == 1.0


def test_what_the_model_cannot_hold_is_refused(model):
    with pytest.raises(InputError, match="answers up to 2200"):
        samples_of_task(model, "niah", Preset((200,), 1), max_new_tokens=2200)
    with pytest.raises(InputError, match="no use for --colour"):
        samples_of_task(model, "niah:colour=red", Preset((200,), 1))


def test_texts_are_as_long_as_asked_and_differ(model, tmp_path):
    texts = prose_texts(model, n=3, length=40)
    assert [len(text) for text in texts] == [40] * 3 and not torch.equal(texts[0], texts[1])
    assert all(torch.equal(one, two) for one, two in zip(texts, prose_texts(model, n=3, length=40), strict=True))
    file = tmp_path / "own.txt"
    file.write_text("The mill stood by the river. " * 40)
    assert [len(text) for text in prose_texts(model, n=2, length=30, file=file)] == [30, 30]
    with pytest.raises(InputError, match="9 texts of 60 tokens are wanted"):
        prose_texts(model, n=9, length=60, file=file)
    with pytest.raises(InputError, match="texts have 2 to"):
        prose_texts(model, length=1)
