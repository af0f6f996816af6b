"""The bundled model's byte-level BPE tokenizer.

Words that hold a digit are split from the space in front of them, so that a UUID has the same tokens in the middle of a sentence and at the
start of an answer.
"""

import random
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from experiments.train_mini.config import CHAT_TEMPLATE, SPECIAL_TOKENS, TrainConfig
from experiments.train_mini.passages import SHARES, Passages
from mechdyn.tasks.niah import INSTRUCTION, QUESTION, SYSTEM, random_uuid, user_text
from mechdyn.tasks.world import make_world

_WORDS = Regex(r"[\p{L}\p{N}]*\p{N}[\p{L}\p{N}]*| ?\p{L}+(?![\p{L}\p{N}]*\p{N})| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")


def train_tokenizer(config: TrainConfig) -> PreTrainedTokenizerFast:
    """Learn the merges from the same kinds of text as the model, each kind of text by its share."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(_WORDS, behavior="isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(config), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        bos_token="<|bos|>",
        eos_token="<|end|>",
        extra_special_tokens=list(SPECIAL_TOKENS[3:]),
        clean_up_tokenization_spaces=False,
        model_max_length=config.n_ctx,
        chat_template=CHAT_TEMPLATE,
    )


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the tokenizer as a Hugging Face directory does."""
    tokenizer.save_pretrained(folder)


def _corpus(config: TrainConfig) -> Iterator[str]:
    rng = random.Random(f"tokenizer-{config.seed}")
    passages = Passages(config)
    for kind, share in SHARES.items():
        for _ in range(round(1000 * share)):
            yield passages.passage(rng, kind, 2000)
    yield " ".join(random_uuid(rng) for _ in range(6000))
    for _ in range(300):
        world = make_world(rng, 6)
        yield " ".join(" ".join(sentences) for _, sentences in world.paragraphs)
        yield " ".join(f"{chain.question} {chain.rationale}" for chain in world.chains)
    for _ in range(300):
        yield f"{SYSTEM} {user_text('', QUESTION, INSTRUCTION)}"
