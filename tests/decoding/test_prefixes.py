"""Which prompts are read together, against counting token by token."""

import random

import pytest
import torch

from mechdyn.decoding.prefixes import MIN_SHARED, groups_of
from mechdyn.models.footprint import CHUNK


def in_common(first, second):
    n = 0
    while n < min(len(first), len(second)) and first[n] == second[n]:
        n += 1
    return n


@pytest.mark.parametrize("seed", range(10))
def test_every_prompt_is_read_and_what_it_shares_is_copied_from_one_before_it(seed):
    rng = random.Random(seed)
    haystacks = [[rng.randrange(50) for _ in range(200)] for _ in range(2)]
    rows = [
        [*rng.choice(haystacks)[: rng.randrange(0, 200)], *(rng.randrange(50) for _ in range(rng.choice((0, 5, 5, 9))))] for _ in range(12)
    ]
    shift = [rng.choice((0, 0, 3)) for _ in rows]
    places = [[by + place for place in range(len(row))] for row, by in zip(rows, shift, strict=True)]
    groups = groups_of([torch.tensor(row, dtype=torch.long) for row in rows], [torch.tensor(each, dtype=torch.long) for each in places])
    assert [row for group in groups for row in range(group.rows.start, group.rows.stop)] == [n for n, row in enumerate(rows) if row]
    for group in groups:
        alone = rows[group.rows.start]
        assert {len(row) for row in rows[group.rows]} == {len(alone)} == {group.length}
        shared = [
            min(in_common(rows[other], rows[row]), in_common(places[other], places[row]))
            for row in range(group.rows.start, group.rows.stop)
            for other in range(row)
        ]
        if group.source is None:
            assert max(shared, default=0) < MIN_SHARED and (group.rows.stop - group.rows.start) * group.length <= max(CHUNK, group.length)
        else:
            assert group.n_shared == max(shared) >= MIN_SHARED
            assert rows[group.source][: group.n_shared] == alone[: group.n_shared] and group.source < group.rows.start


def test_neighbours_of_one_length_are_read_together_up_to_a_chunk():
    prompts = [torch.full((CHUNK // 2,), number) for number in range(5)]
    groups = groups_of(prompts, [torch.arange(CHUNK // 2)] * 5)
    assert [group.rows for group in groups] == [slice(0, 2), slice(2, 4), slice(4, 5)]
