"""RetMask's second stage, its pairs: what the intact model said is preferred to what the worse one said, in TRL's own layout."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mechdyn.errors import InputError
from mechdyn.models.model import Model
from mechdyn.tasks.chat import render
from mechdyn.tasks.sample import Sample

if TYPE_CHECKING:
    from datasets import Dataset

COLUMNS = ("prompt", "chosen", "rejected")
"""Of a data set of preferences, as TRL reads it."""


@dataclass(frozen=True)
class Response:
    """What both models said to one prompt, by the prompt's key; `cut` are the roles whose answer was stopped by its length."""

    prompt: str
    chosen: str
    rejected: str
    cut: tuple[str, ...] = ()

    @property
    def dropped(self) -> str:
        """Why this is no pair: `identical`, `empty`, or nothing where it is one."""
        chosen, rejected = self.chosen.strip(), self.rejected.strip()
        if not chosen or not rejected:
            return "empty"
        return "identical" if chosen == rejected else ""

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "cut": list(self.cut)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Response":
        """What `as_json` wrote."""
        return cls(**{**values, "cut": tuple(values["cut"])})


@dataclass(frozen=True)
class PairCounts:
    """How many prompts were answered, and what became of their pairs; `cut` pairs are kept (TRL ends their cut answer all the same)."""

    prompts: int
    pairs: int
    identical: int
    empty: int
    cut: int

    @classmethod
    def of(cls, responses: Sequence[Response]) -> "PairCounts":
        """Count; an empty answer on both sides is empty, not identical."""
        why = [response.dropped for response in responses]
        cut = sum(bool(response.cut) and not response.dropped for response in responses)
        return cls(len(responses), why.count(""), why.count("identical"), why.count("empty"), cut)

    def __str__(self) -> str:
        return f"{self.pairs} pairs of {self.prompts} prompts; dropped: {self.identical} identical, {self.empty} empty; {self.cut} cut off"


def preferences(tokenizer: Any, prompts: Sequence[Sample], responses: Sequence[Response]) -> "Dataset":
    """The pairs as a `datasets.Dataset` of TRL's preference layout: prompt, chosen, rejected, all text.

    Raises:
        InputError: no pair is left, or a prompt that TRL would read otherwise than the models did.
    """
    from datasets import Dataset

    texts = {sample.key: sample for sample in prompts}
    kept = [response for response in responses if not response.dropped]
    if not kept:
        raise InputError(
            f"no pairs are left: {PairCounts.of(responses)}; give more prompts, a higher temperature, or heads that matter for them"
        )
    return Dataset.from_list(
        [{"prompt": trl_text(tokenizer, texts[each.prompt]), "chosen": each.chosen, "rejected": each.rejected} for each in kept]
    )


def trl_text(tokenizer: Any, sample: Sample) -> str:
    """The prompt as a text that TRL's tokenising makes the very same tokens of.

    TRL lets the tokenizer add its special tokens to a text; a rendered prompt begins with a BOS already, which is taken off where a second
    one would come before it.

    Raises:
        InputError: no such text.
    """
    bos = getattr(tokenizer, "bos_token", None) or ""
    wanted = sample.tokens.tolist()
    for text in (sample.prompt, sample.prompt.removeprefix(bos)):
        if tokenizer(text)["input_ids"] == wanted:
            return text
    raise InputError(
        "a prompt's text gives other tokens under TRL than the model was asked with, so it could not be trained on; take a tokenizer whose "
        "special tokens are written in its template"
    )


def read_pairs(folder: str | Path) -> "Dataset":
    """A data set of preferences, as `preferences` makes it or anyone else does, from a folder that `datasets` saved.

    Raises:
        InputError: no such folder, other columns, or no pair.
    """
    from datasets import Dataset, load_from_disk

    try:
        found = load_from_disk(str(folder))
    except IndexError as error:  # datasets cannot read one of no rows
        raise InputError(f"no pairs are left in {folder}; contrast more prompts") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} is no folder of a data set that `datasets` saved; `mechdyn retmask contrast` makes one") from error
    lacking = [name for name in COLUMNS if not isinstance(found, Dataset) or name not in found.column_names]
    if lacking:
        raise InputError(f"the data set in {folder} needs the columns {', '.join(COLUMNS)}, and has no {lacking[0]}")
    if len(found) == 0:
        raise InputError(f"no pairs are left in {folder}; contrast more prompts")
    # In memory: what TRL makes of it must not be written beside it.
    return Dataset.from_dict({name: found[name][:] for name in COLUMNS})


def prompts_of_file(model: Model, path: str | Path) -> list[Sample]:
    """Prompts from JSON lines `{"prompt": "…"}`, each as a user's turn through the model's chat template.

    Raises:
        InputError: a file that cannot be read, or a line that is something else.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"prompts in {path} cannot be read ({error}); give JSON lines with a prompt each") from error
    texts = [_prompt(line, f"line {number} of {path}") for number, line in enumerate(lines, start=1) if line.strip()]
    if not texts:
        raise InputError(f'{path} has no prompts; give JSON lines such as {{"prompt": "…"}}')
    return [_sample(model, text) for text in dict.fromkeys(texts)]


def _prompt(line: str, where: str) -> str:
    try:
        text = json.loads(line)["prompt"]
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f'{where} is no JSON object with a prompt, such as {{"prompt": "…"}}') from error
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"the prompt in {where} is no text, or blank")
    return text


def _sample(model: Model, text: str) -> Sample:
    prompt = render(model.tokenizer, None, text)
    nowhere = torch.zeros(0, dtype=torch.long)
    return Sample("own", prompt.text, prompt.tokens, (), nowhere, (0, len(prompt.text)), text, "")
