"""Schedules by name: the JSON of mechdyn's own is fixed, those of users are written and read back, and what is none is one line."""

import json
import random
from dataclasses import dataclass, field

import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.heads import Head, HeadSet, RankedHeads, heads
from mechdyn.schedules import (
    SCHEDULES,
    Dynamic,
    NoAblation,
    Observation,
    RandomHeads,
    Schedule,
    SizeMatched,
    Static,
    schedule,
    schedule_from_json,
    schedule_from_spec,
)

LAYERS, HEADS = 3, 4
RANKING = RankedHeads(
    tuple(Head(layer, head) for layer in (1, 0, 2) for head in range(HEADS)), tuple(map(float, range(12, 0, -1))), LAYERS, HEADS
)
WRITTEN = {
    '{"kind": "none"}': NoAblation(),
    '{"kind": "dynamic", "top_k": null}': Dynamic(),
    '{"kind": "dynamic", "top_k": 2}': Dynamic(2),
    '{"kind": "static", "heads": ["L0H1", "L2H3"]}': Static(heads("L2H3 L0H1")),
    '{"kind": "random", "k": 3, "seed": 5, "fresh": true, "matched": null}': RandomHeads(3, 5),
    '{"kind": "random", "k": 0, "seed": 0, "fresh": false, "matched": "layer"}': RandomHeads(fresh=False, matched="layer"),
    '{"kind": "size-matched", "of": {"kind": "random", "k": 0, "seed": 2, "fresh": true, "matched": null}}': SizeMatched(RandomHeads(0, 2)),
    json.dumps({"kind": "size-matched", "ranking": [str(head) for head in RANKING.heads]}): SizeMatched(RANKING),
}
"""What stored runs hold, letter by letter."""


@pytest.fixture(autouse=True)
def own_names(monkeypatch):
    """What a test registers is gone behind it."""
    SCHEDULES.names()
    monkeypatch.setattr(SCHEDULES, "_things", dict(SCHEDULES._things))


def observation(seed, step=0):
    generator = torch.Generator().manual_seed(seed)
    scores = (torch.rand(LAYERS, HEADS, generator=generator) < 0.4).float()
    return Observation(f"sample {seed}", step, scores, scores > 0, tuple(torch.rand(LAYERS, HEADS, 7, generator=generator)))


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("shape", [(), (LAYERS, HEADS)])
def test_the_json_of_own_schedules_is_what_stored_runs_hold(written, shape):
    assert json.dumps(WRITTEN[written].as_json()) == written
    read = schedule_from_json(json.loads(written), *shape)
    assert json.dumps(read.as_json()) == written
    for seed in range(6):
        assert torch.equal(read.heads(observation(seed)), WRITTEN[written].heads(observation(seed)))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("none", NoAblation()),
        ("dynamic", Dynamic()),
        ("dynamic:top_k=3", Dynamic(3)),
        ("static:heads=L2H3 L0H1", Static(heads("L2H3 L0H1"))),
        ("random:k=2,fresh=false,seed=9", RandomHeads(2, 9, fresh=False)),
        ("size-matched:of=random", SizeMatched(RandomHeads())),
    ],
)
def test_schedules_as_a_command_line_has_them(text, wanted):
    assert schedule_from_spec(text) == wanted == schedule_from_spec(text, LAYERS, HEADS)


@dataclass(frozen=True)
class EveryOther:
    """Layer `layer` goes off at every second step."""

    layer: int = 0
    offsets: tuple[int, ...] = (0,)

    def heads(self, observation):
        off = torch.zeros_like(observation.active)
        off[self.layer] = observation.step % 2 in self.offsets
        return off


def test_a_schedule_of_ones_own_is_written_and_read_back():
    made = schedule("every-other")(EveryOther)(1, offsets=(1,))
    assert isinstance(made, Schedule) and made.as_json() == {"kind": "every-other", "layer": 1, "offsets": (1,)}
    stored = json.loads(json.dumps(made.as_json()))
    read = schedule_from_json(stored, LAYERS, HEADS)
    for step in range(4):
        assert read.heads(observation(0, step)).tolist() == made.heads(observation(0, step)).tolist()
        assert bool(read.heads(observation(0, step)).any()) == (step % 2 == 1)
    assert schedule_from_spec("every-other:layer=2") == EveryOther(2)


def test_a_schedule_that_extends_another_has_its_own_kind():
    @schedule("dynamic-later")
    @dataclass(frozen=True)
    class Later(Dynamic):
        start: int = 3

        def heads(self, observation):
            return super().heads(observation) & (observation.step >= self.start)

    assert Later(2).as_json() == {"kind": "dynamic-later", "top_k": 2, "start": 3}
    assert schedule_from_json(Later(2, 5).as_json()) == Later(2, 5)


@dataclass(frozen=True)
class Holding:
    chosen: HeadSet = field(default_factory=lambda: heads("L0H0"))

    def heads(self, observation):
        return self.chosen.fit(*observation.active.shape).mask()


WRONG = {
    "unknown": (lambda: schedule_from_spec("magic"), "unknown schedule 'magic'; give one of .*static"),
    "no kind": (lambda: schedule_from_json({}), r"a schedule is written as \{'kind': ..., argument: value\}, got \{\}"),
    "a kind that is no text": (lambda: schedule_from_json({"kind": ["none"]}), "a schedule is written as"),
    "unknown argument": (lambda: schedule_from_spec("dynamic:k=1"), r"schedule 'dynamic' does not take \{'k': 1\}"),
    "missing argument": (lambda: schedule_from_spec("static"), r"schedule 'static' does not take \{\}"),
    "one too many": (lambda: schedule_from_spec("static:heads=L0H0,k=1"), "schedule 'static' does not take"),
    "no heads": (lambda: schedule_from_spec("static:heads=3-6"), "a head is written like L4H7"),
    "outside the model": (lambda: schedule_from_spec("static:heads=L9H0", LAYERS, HEADS), "head L9H0 is outside a model of 3 layers"),
    "matched to a static list": (lambda: schedule_from_spec("size-matched:of=dynamic"), "is of a ranking or of random heads, got dynamic"),
    # The check of types that only tests make finds the second before the schedule's own check can.
    "a number in letters": (
        lambda: schedule_from_spec("dynamic:top_k=abc").check(3, 4),
        "(top_k must lie between 0 and 12|does not take).*'abc'",
    ),
    "a taken kind": (lambda: schedule("dynamic")(EveryOther), "the schedule 'dynamic' is mechdyn.schedules.chosen.Dynamic already"),
    "no dataclass": (lambda: schedule("x")(type("Loose", (), {"heads": None})), "a schedule is a frozen dataclass with heads"),
    "fields that are no JSON": (lambda: schedule("holding")(Holding)().as_json(), "the fields of schedule 'holding' must be JSON values"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_schedule_is_one_line(case):
    call, message = WRONG[case]
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_static_heads_of_another_model_are_refused_before_they_are_used():
    for chosen in (Static(heads("L2H3", 5, 16)), SizeMatched(RankedHeads((Head(0, 0),), (1.0,), 5, 16))):
        with pytest.raises(InputError, match="the heads are of a model of 5 layers x 16 heads, this one has 3 x 4"):
            chosen.check(LAYERS, HEADS)
    with pytest.raises(InputError, match="head L4H0 is outside a model of 3 layers x 4 heads"):
        Static(heads("L4H0")).check(LAYERS, HEADS)


def observed(active, seed=0, step=0):
    generator = torch.Generator().manual_seed(seed)
    patterns = tuple(torch.rand(HEADS, 5, generator=generator) for _ in range(LAYERS))
    return Observation("sample", step, active.float(), active, patterns)


ACTIVE = torch.tensor([[True, True, False, False], [True, True, True, False], [False, False, False, False]])


@pytest.mark.parametrize("step", range(20))
@pytest.mark.parametrize("matched", [None, "layer"])
def test_random_heads_never_hit_what_they_exclude(matched, step):
    seen = observed(ACTIVE, step=step)
    drawn = RandomHeads(4, seed=3, matched=matched, exclude="active").heads(seen)
    assert not (drawn & ACTIVE).any()
    assert drawn.sum(dim=1).tolist() == [2, 1, 0] if matched else int(drawn.sum()) == 4  # layer 1 has one other head
    named = RandomHeads(4, seed=3, matched=matched, exclude=heads("L0H0 L1H3", LAYERS, HEADS)).heads(seen)
    assert not named[0, 0] and not named[1, 3]


def test_random_heads_are_drawn_evenly_from_what_is_left():
    counts = sum(RandomHeads(2, exclude="active").heads(observed(ACTIVE, step=step)).long() for step in range(2000))
    assert (counts[ACTIVE] == 0).all()
    assert (counts[~ACTIVE] - 2000 * 2 / 7).abs().max() < 4 * (2000 * 2 / 7 * 5 / 7) ** 0.5


def test_without_exclusion_draws_are_those_of_the_first_release():
    seen = observed(ACTIVE)
    assert RandomHeads(3, seed=5).heads(seen).flatten().nonzero().flatten().tolist() == sorted(
        random.Random("random-5-sample-0").sample(range(LAYERS * HEADS), 3)
    )
    assert "exclude" not in RandomHeads(3).as_json() and "exclude" not in SizeMatched(RANKING).as_json()


def test_size_matched_heads_pass_over_what_is_excluded():
    seen = observed(ACTIVE)
    ranked = SizeMatched(RANKING, exclude="active").heads(seen)
    assert HeadSet.from_mask(ranked) == HeadSet.of("L1H3 L0H2 L0H3 L2H0 L2H1", LAYERS, HEADS)
    drawn = SizeMatched(RandomHeads(exclude="active")).heads(seen)
    assert int(drawn.sum()) == 5 and not (drawn & ACTIVE).any()


@pytest.mark.parametrize(
    "made",
    [
        RandomHeads(2, exclude="active"),
        RandomHeads(2, exclude=heads("L0H0 L1H3", LAYERS, HEADS)),
        SizeMatched(RandomHeads(exclude="active")),
        SizeMatched(RANKING, exclude="active"),
    ],
)
def test_what_is_excluded_is_written_and_read_back(made):
    content = json.loads(json.dumps(made.as_json()))
    assert schedule_from_json(content, LAYERS, HEADS).as_json() == made.as_json()


def test_exclusions_that_are_none_are_refused():
    with pytest.raises(InputError, match=r"exclude takes 'active' .*, got 'dynamic'"):
        RandomHeads(2, exclude="dynamic")
    with pytest.raises(InputError, match="what is excluded stands with them"):
        SizeMatched(RandomHeads(), exclude="active")
    with pytest.raises(InputError):
        RandomHeads(2, exclude=heads("L9H0")).check(LAYERS, HEADS)
    assert schedule_from_spec("random:k=3,exclude=active") == RandomHeads(3, exclude="active")
