"""What someone may type into the page, and the sample made from it."""

from dataclasses import dataclass
from typing import Any

from mechdyn.errors import InputError
from mechdyn.scores.score import as_score
from mechdyn.tasks.fitting import check_request
from mechdyn.tasks.niah import niah, niah_in
from mechdyn.tasks.sample import Sample


@dataclass(frozen=True)
class Limits:
    """The most that one request may ask for; beside these, a prompt and its answer must fit the model's context."""

    needle_characters: int = 1_000
    question_characters: int = 500
    haystack_characters: int = 400_000
    new_tokens: int = 128


@dataclass(frozen=True)
class Ask:
    """One request. With an empty haystack, procedural prose makes a prompt of `length` tokens; otherwise `length` is not used."""

    needle: str
    question: str
    haystack: str = ""
    length: int = 512
    depth: float = 0.5
    seed: int = 0
    new_tokens: int = 48
    score: str = "copy_paste"
    """What a head's score is, as `--score` takes it."""
    model: str = ""
    """One of the menu; the page's first where empty."""

    def sample(self, model: Any, limits: Limits) -> Sample:
        """The prompt, checked against the limits and the model's context.

        Raises:
            InputError: a text that is blank or too long, or what `niah` refuses.
        """
        as_score(self.score)
        for name, text, most in (
            ("needle", self.needle, limits.needle_characters),
            ("question", self.question, limits.question_characters),
            ("haystack", self.haystack, limits.haystack_characters),
        ):
            if len(text) > most:
                raise InputError(f"the {name} has {len(text)} characters and at most {most} are taken; shorten it")
        if not 1 <= self.new_tokens <= limits.new_tokens:
            raise InputError(f"new tokens must lie in [1, {limits.new_tokens}], got {self.new_tokens}")
        if self.haystack.strip():
            return niah_in(model, self.haystack, needle=self.needle, question=self.question, depth=self.depth, room=self.new_tokens)
        check_request(self.length, self.depth, model.n_ctx, self.new_tokens)
        return niah(
            model,
            length=self.length,
            depth=self.depth,
            seed=self.seed,
            needle=self.needle,
            question=self.question,
        )


def as_ask(values: dict[str, Any]) -> Ask:
    """An `Ask` from form fields, where a number that was cleared is None.

    Raises:
        InputError: a field without a usable value.
    """
    for name, kind in (("length", int), ("depth", float), ("seed", int), ("new_tokens", int)):
        if not isinstance(values.get(name), (int, kind)) or isinstance(values[name], bool):
            whole = "a whole number" if kind is int else "a number"
            raise InputError(f"{name.replace('_', ' ')} must be {whole}, got {values.get(name)!r}")
    texts = {name: str(values.get(name) or "") for name in ("needle", "question", "haystack", "model")}
    texts["score"] = str(values.get("score") or Ask.score)
    return Ask(**texts, length=values["length"], depth=float(values["depth"]), seed=values["seed"], new_tokens=values["new_tokens"])
