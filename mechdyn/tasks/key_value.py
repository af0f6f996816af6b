"""A value looked up in a JSON object of random pairs (Liu et al. 2024, "Lost in the Middle", section 4).

The prompt is the published one (`kv_retrieval.prompt`). Where we depart: the object has as many pairs as the asked length in tokens holds
(the paper: 75, 140 or 300), and to meet that length exactly the value of the last other pair goes on with further hexadecimal digits.
"""

import json
import random
from dataclasses import dataclass
from typing import Any, ClassVar

from mechdyn.tasks.chat import locate, render
from mechdyn.tasks.fitting import Fitted, fit, placed
from mechdyn.tasks.made import MadeTask, Place
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.task import task
from mechdyn.tasks.values import random_uuid

_FRAME = (
    'Extract the value corresponding to the specified key in the JSON object below.\n\nJSON data:\n{context}\n\nKey: "{key}"\n'
    "Corresponding value:"
)
_LEAST = 2
_PAIR = 72
"""Hexadecimal digits and hyphens of a pair."""


@task
@dataclass(frozen=True)
class KeyValue(MadeTask):
    """One pair of a JSON object of UUIDs: accuracy is whether the answer has its value, capitals aside.

    The evidence is the pair, `"key": "value"`; `depth` is its place among the pairs, 0 the first, 1 the last. `meta["pairs"]` says how many
    pairs there are. The depth is met to the nearest pair.
    """

    name: ClassVar[str] = "key_value"

    @classmethod
    def quality(cls, text: str, answer: str) -> dict[str, float]:
        return {"accuracy": float(answer.lower() in text.lower())}

    def make(self, tokenizer: Any, place: Place) -> Sample:
        needle, others = random.Random(f"key-value-{place.needle_seed}"), random.Random(f"key-value-others-{place.seed}")
        key, value = random_uuid(needle), random_uuid(needle)
        pairs = [(random_uuid(others), random_uuid(others)) for _ in range(max(_LEAST, place.length // 16))]

        def assemble(n_others: int, more: int = 0) -> Fitted:
            """The object with so many further pairs, `more` digits behind the last one's value."""
            shown = pairs[: n_others + _LEAST - 1]
            last_key, last_value = shown[-1]
            shown[-1] = (last_key, last_value + digits[:more])
            at = round(place.depth * len(shown))
            return _prompt(tokenizer, [*shown[:at], (key, value), *shown[at:]], at, key)

        digits = "".join(random.Random(f"key-value-digits-{place.seed}").choices("0123456789abcdef", k=8 * _PAIR))
        bare = len(assemble(0))
        whole = fit(assemble, place.length, guess=(place.length - bare) // 50, what="two pairs", missing="further ones")
        n_others = len(json.loads(whole.prompt.text[slice(*whole.context_span)])) - _LEAST
        room = place.length - len(whole)
        fitted = fit(lambda more: assemble(n_others, min(more, len(digits))), place.length, guess=room) if room else whole
        return self.finished(fitted, place, question=f'Key: "{key}"', answer=value, pairs=n_others + _LEAST, key=key)


def _prompt(tokenizer: Any, pairs: list[tuple[str, str]], at: int, key: str) -> Fitted:
    lines = [f'"{name}": "{value}"' for name, value in pairs]
    context = "{" + ",\n ".join(lines) + "}"
    start = 1 + sum(len(line) + len(",\n ") for line in lines[:at])
    user = _FRAME.replace("{key}", key).replace("{context}", context)
    prompt = render(tokenizer, None, user)
    return placed(prompt, locate(prompt, user, "JSON object") + _FRAME.index("{context}"), context, [(start, start + len(lines[at]))])
