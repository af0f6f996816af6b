"""The layout of retrieval-head-atlas (ashishanand7): matrices of event rates and of attention mass on the needle.

`atlas` reads `event_rate`, the share of prompts on which a head's mass passes `tau`; `atlas-mass` reads `avg_mass`.
"""

import json
from dataclasses import replace
from typing import ClassVar

from mechdyn.head_files.json_object import count_of, json_object, peek, text_of
from mechdyn.head_files.matrix import matrix_of, read_matrix
from mechdyn.heads import RankedHeads, head_format


class _Atlas:
    name: ClassVar[str]
    scores: ClassVar[str]
    statistic: ClassVar[str]

    def read(self, content: str) -> RankedHeads:
        """Every head by its score in the matrix."""
        found = json_object(content)
        ranked = read_matrix(found, self.scores, self.statistic)
        return replace(ranked, model=text_of(found, "model_id"), n=count_of(found, "n_prompts_total"))

    def write(self, ranked: RankedHeads) -> str:
        """The matrix with model, shape and number of prompts; what else the published file says is not there."""
        about = {"model_id": ranked.model, "n_layers": ranked.n_layers, "n_heads": ranked.n_heads, "n_prompts_total": ranked.n}
        return json.dumps({**about, self.scores: matrix_of(ranked, self.name)})


@head_format("atlas")
class EventRates(_Atlas):
    """`event_rate[layer][head]`."""

    name, scores = "atlas", "event_rate"
    statistic = "event rate of retrieval-head-atlas"

    def recognises(self, content: str) -> bool:
        """The field `event_rate`."""
        return "event_rate" in peek(content)


@head_format("atlas-mass")
class Masses(_Atlas):
    """`avg_mass[layer][head]`; a file that has both matrices is read as `atlas` unless this format is asked for."""

    name, scores = "atlas-mass", "avg_mass"
    statistic = "mean attention mass of retrieval-head-atlas"

    def recognises(self, content: str) -> bool:
        """The field `avg_mass`, and no `event_rate`."""
        found = peek(content)
        return "avg_mass" in found and "event_rate" not in found
