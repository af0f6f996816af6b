"""Pairs: which are dropped and counted, TRL's layout, prompts that TRL reads as the models did."""

import json

import pytest
import torch
from datasets import Dataset
from transformers import AutoTokenizer

from mechdyn.errors import InputError
from mechdyn.improve.retmask.preferences import PairCounts, Response, preferences, prompts_of_file, read_pairs, trl_text
from mechdyn.models.load import load_model
from mechdyn.tasks.niah import niah
from tests.bundled import mini_tokenizer
from tests.checkpoints import FAMILIES, make_checkpoint


def test_identical_and_empty_answers_are_no_pairs_and_are_counted():
    said = [("a", "b"), ("a", " a\n"), ("", "b"), ("a", " "), ("", ""), ("c", "d")]
    responses = [Response(str(index), *pair, cut=("rejected",) if index in (1, 5) else ()) for index, pair in enumerate(said)]
    assert PairCounts.of(responses) == PairCounts(prompts=6, pairs=2, identical=1, empty=3, cut=1)
    assert [Response.from_json(json.loads(json.dumps(each.as_json()))) for each in responses] == responses


def test_the_data_set_is_trls_and_comes_back_from_its_folder(tmp_path):
    prompts = [niah(mini_tokenizer(), length=150, depth=0.5, seed=seed) for seed in range(3)]
    responses = [Response(each.key, each.answer, f"not {each.answer}" if index else each.answer) for index, each in enumerate(prompts)]
    found = preferences(mini_tokenizer(), prompts, responses)
    assert found.column_names == ["prompt", "chosen", "rejected"]
    assert found[:]["chosen"] == [each.answer for each in prompts[1:]] and found[:]["prompt"] == [each.prompt for each in prompts[1:]]
    found.save_to_disk(tmp_path / "pairs")
    assert read_pairs(tmp_path / "pairs").to_list() == found.to_list()


def test_no_pairs_left_is_an_error_with_counts(tmp_path):
    prompt = niah(mini_tokenizer(), length=150, depth=0.5)
    with pytest.raises(InputError, match="no pairs are left: 0 pairs of 1 prompts; dropped: 1 identical"):
        preferences(mini_tokenizer(), [prompt], [Response(prompt.key, "same", "same")])
    Dataset.from_dict({"prompt": [], "chosen": [], "rejected": []}).save_to_disk(tmp_path / "none")
    Dataset.from_dict({"prompt": ["a"], "chosen": ["b"]}).save_to_disk(tmp_path / "other")
    for name, words in [("none", "no pairs are left"), ("other", "no rejected"), ("missing", "is no folder of a data set")]:
        with pytest.raises(InputError, match=words):
            read_pairs(tmp_path / name)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_prompt_has_the_same_tokens_under_trl(name, tmp_path):
    """Among the families are tokenizers that add a BOS to a text whose template has written one."""
    tokenizer = AutoTokenizer.from_pretrained(make_checkpoint(name, tmp_path / "model"))
    sample = niah(tokenizer, length=600, depth=0.5)
    assert tokenizer(trl_text(tokenizer, sample))["input_ids"] == sample.tokens.tolist()


def test_prompts_of_a_file_go_through_the_template(tmp_path):
    model = load_model("mini")
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "Who sold the lantern?"}\n\n{"prompt": "Who sold the lantern?"}\n{"prompt": "When?"}\n')
    first, second = prompts_of_file(model, path)
    turns = [{"role": "user", "content": "Who sold the lantern?"}]
    assert first.tokens.tolist() == model.tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"]
    assert first.key != second.key and torch.is_tensor(second.tokens)
    for content, words in [
        ("", "has no prompts"),
        ('{"text": "a"}', "line 1 of"),
        ('{"prompt": " "}', "no text, or blank"),
        ("a", "no JSON"),
    ]:
        path.write_text(content)
        with pytest.raises(InputError, match=words):
            prompts_of_file(model, path)
