"""Tiny tokenizers in the styles of real models, for tests of spans and offsets."""

import json
import random
from collections.abc import Iterator
from functools import cache

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from mechdyn.tasks.niah import INSTRUCTION, QUESTION, SYSTEM, random_uuid, user_text
from mechdyn.tasks.prose import procedural_prose
from mechdyn.tasks.questions import RATIONALE_INSTRUCTION, context_text
from mechdyn.tasks.world import make_world
from tests.bundled import mini_tokenizer

VOCABULARY = 700
LLAMA_3 = (
    "{{ bos_token }}{% for m in messages %}<|head|>{{ m['role'] }}<|tail|>\n\n{{ m['content'] | trim }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|head|>assistant<|tail|>\n\n{% endif %}"
)
LLAMA_2 = (
    "{% set user = messages[-1]['content'] %}{% if messages[0]['role'] == 'system' %}"
    "{% set user = '<<SYS>>\n' + messages[0]['content'] + '\n<</SYS>>\n\n' + user %}{% endif %}"
    "{{ bos_token + '[INST] ' + user.strip() + ' [/INST]' }}"
)
NO_SYSTEM = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "<|head|>{{ m['role'] }}\n{{ m['content'] | trim }}<|end|>\n{% endfor %}<|head|>model\n"
)
_SPECIAL = ["<unk>", "<s>", "</s>", "<|head|>", "<|tail|>", "<|end|>"]
WORDS = Regex(r" ?\p{L}+| ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")


@cache
def tokenizer_styles() -> dict[str, PreTrainedTokenizerFast]:
    """One small tokenizer a style, trained here but for the bundled model's.

    - `mini`: the bundled model's byte BPE, which parts a UUID from the space in front of it
    - `byte_bpe`: byte BPE that adds BOS, under a template that writes BOS too and trims (Llama 3)
    - `byte_bpe_plain`: byte BPE whose offsets leave out leading spaces, no template, no BOS (GPT-2)
    - `prefix_space`: BPE on ▁-words with a space put before the text, byte fallback and BOS, texts in one [INST] turn (Llama 2)
    - `unigram`: Unigram on ▁-words, <unk> for characters it has not seen, BOS added, no template (SentencePiece's own)
    - `whole_text`: BPE with byte fallback over the whole text, no word split, a template that refuses the system role (Gemma)
    """
    return {
        "mini": mini_tokenizer(),
        "byte_bpe": _byte_bpe(),
        "byte_bpe_plain": _byte_bpe_plain(),
        "prefix_space": _prefix_space(),
        "unigram": _unigram(),
        "whole_text": _whole_text(),
    }


def _byte_bpe() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(WORDS, behavior="isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), _add_bos(tokenizer)])
    return _wrap(tokenizer, LLAMA_3)


def _byte_bpe_plain() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    return _wrap(tokenizer, None)


def _prefix_space() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", behavior="merged_with_next")
    train(tokenizer, special=_SPECIAL + byte_tokens())
    tokenizer.pre_tokenizer = None
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(content=" ", left=1)]
    )
    tokenizer.post_processor = _add_bos(tokenizer)
    return _wrap(_with_plain_bytes(tokenizer), LLAMA_2)


def _unigram() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    trainer = trainers.UnigramTrainer(vocab_size=VOCABULARY, special_tokens=_SPECIAL, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(_corpus(), trainer)
    tokenizer.post_processor = _add_bos(tokenizer)
    return _wrap(tokenizer, None)


def _whole_text() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", behavior="merged_with_previous")
    train(tokenizer, special=_SPECIAL + byte_tokens())
    tokenizer.pre_tokenizer = None
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.post_processor = _add_bos(tokenizer)
    return _wrap(_with_plain_bytes(tokenizer), NO_SYSTEM)


def train(tokenizer: Tokenizer, special: list[str] = _SPECIAL, initial_alphabet: list[str] | None = None) -> None:
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=initial_alphabet or [], show_progress=False
    )
    tokenizer.train_from_iterator(_corpus(), trainer)


def byte_tokens() -> list[str]:
    return [f"<0x{byte:02X}>" for byte in range(256)]


def _with_plain_bytes(tokenizer: Tokenizer) -> Tokenizer:
    """The trainer takes the byte tokens as special ones, which decoding would skip; in real tokenizers they are tokens like any other."""
    description = json.loads(tokenizer.to_str())
    description["added_tokens"] = [token for token in description["added_tokens"] if token["content"] not in byte_tokens()]
    return Tokenizer.from_str(json.dumps(description))


def _add_bos(tokenizer: Tokenizer) -> processors.PostProcessor:
    return processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))])


def _wrap(tokenizer: Tokenizer, chat_template: str | None) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        clean_up_tokenization_spaces=False,
        chat_template=chat_template,
    )


def _corpus() -> Iterator[str]:
    rng = random.Random("tokenizers of the tests")
    yield procedural_prose(seed=0, n_sentences=300)
    yield " ".join(random_uuid(rng) for _ in range(60))
    for _ in range(20):
        world = make_world(rng, 5)
        yield user_text(context_text(world.paragraphs), world.chains[0].question, RATIONALE_INSTRUCTION)
    yield f"{SYSTEM} {QUESTION} {INSTRUCTION} {RATIONALE_INSTRUCTION} Keep é, ü, &amp; “quotes” – and 中文 apart: (1992) 3,5 %."
