"""The layout of retrieval-head-profile (CengizhanBayram): two score matrices of one model, and much about the run.

Its two detectors agree little, so each is a format of its own: `profile` reads `argmax_scores`, `profile-copy` reads `copy_scores`.
"""

import json
from dataclasses import replace
from typing import ClassVar

from mechdyn.head_files.json_object import count_of, json_object, peek, text_of
from mechdyn.head_files.matrix import matrix_of, read_matrix
from mechdyn.heads import RankedHeads, head_format


class _Profile:
    name: ClassVar[str]
    scores: ClassVar[str]
    statistic: ClassVar[str]

    def read(self, content: str) -> RankedHeads:
        """Every head by its score in the matrix; `model` is the hub id where the file has one."""
        found = json_object(content)
        ranked = read_matrix(found, self.scores, self.statistic)
        return replace(ranked, model=text_of(found, "hf_id") or text_of(found, "model"), n=count_of(found, "n_samples"))

    def write(self, ranked: RankedHeads) -> str:
        """The matrix with model, shape and number of samples; what else the published files say is not there."""
        about = {"model": ranked.model, "hf_id": ranked.model, "n_samples": ranked.n}
        shape = {"n_layers": ranked.n_layers, "n_heads": ranked.n_heads}
        return json.dumps({**about, **shape, self.scores: matrix_of(ranked, self.name)})


@head_format("profile")
class ArgmaxProfile(_Profile):
    """`argmax_scores[layer][head]`."""

    name, scores = "profile", "argmax_scores"
    statistic = "argmax score of retrieval-head-profile"

    def recognises(self, content: str) -> bool:
        """The field `argmax_scores`."""
        return "argmax_scores" in peek(content)


@head_format("profile-copy")
class CopyProfile(_Profile):
    """`copy_scores[layer][head]`; a file that has both matrices is read as `profile` unless this format is asked for."""

    name, scores = "profile-copy", "copy_scores"
    statistic = "copy score of retrieval-head-profile"

    def recognises(self, content: str) -> bool:
        """The field `copy_scores`, and no `argmax_scores`."""
        found = peek(content)
        return "copy_scores" in found and "argmax_scores" not in found
