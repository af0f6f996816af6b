from mechdyn.heads import Head, RankedHeads
from mechdyn.studies.conditions import CONDITIONS, Detection, condition_name, condition_names, group_name, role, schedules
from mechdyn.studies.modes import Mode, mode_role, name_of_role


def test_every_condition_of_the_grid_has_its_role_s_name() -> None:
    ranking = RankedHeads(tuple(Head(layer, head) for layer in range(2) for head in range(3)), (0.0,) * 6, 2, 3)
    named = schedules(Detection(ranking, 2, 5), seed=0)
    assert set(named) | {"clean"} == set(CONDITIONS)
    for name, schedule in named.items():
        for commit in ("clean", "ablated"):
            assert condition_name({"schedule": schedule, "method": "zero", "scope": "position", "commit": commit}) == role(name, commit)
    assert condition_name({}) == "clean"


def test_what_is_unusual_is_said() -> None:
    assert condition_name({"schedule": {"kind": "dynamic", "top_k": 3}, "commit": "clean"}) == "dynamic top 3, commit clean"
    unusual = {"schedule": {"kind": "dynamic"}, "method": "mean", "scope": "all", "commit": "ablated"}
    assert condition_name(unusual) == "dynamic, commit ablated, mean, all"
    assert condition_name({"schedule": {"kind": "my own"}}) == "my own, commit clean"


def test_draws_of_one_name_are_told_apart_by_what_they_have_of_their_own() -> None:
    def under(schedule: dict[str, object], commit: str = "clean") -> dict[str, object]:
        return {"schedule": schedule, "commit": commit}

    drawn = [under({"kind": "random", "k": 2, "seed": seed, "fresh": False}) for seed in (0, 1000003)]
    lists = [under({"kind": "static", "heads": heads}) for heads in (["L0H1", "L1H1"], ["L0H0", "L0H1", "L0H2", "L1H0"])]
    names = condition_names([{}, *drawn, *lists, under({"kind": "dynamic"}), drawn[0]])
    assert names == [
        "clean",
        "random-fixed, commit clean (seed 0)",
        "random-fixed, commit clean (seed 1000003)",
        "static-average, commit clean (L0H1 L1H1)",
        "static-average, commit clean (L0H0 L0H1 L0H2 … 4 heads)",
        "dynamic, commit clean",
        "random-fixed, commit clean (seed 0) #2",
    ]
    assert list(dict.fromkeys(map(group_name, names))) == [
        "clean",
        "random-fixed, commit clean",
        "static-average, commit clean",
        "dynamic, commit clean",
    ]


def test_lists_of_a_plan_are_named_as_it_has_them_and_draws_of_one_kind_are_one_group() -> None:
    mode, plain = Mode("uniform", "decode"), Mode("zero", "position")
    roles = [
        "clean",
        mode_role(mode, "listed"),
        *(mode_role(mode, "random", draw) for draw in (0, 3)),
        mode_role(plain, "random-layers", 12),
    ]
    roles += [f"rationale: {mode_role(mode, 'random', 1)}", "dynamic, commit clean", "detection"]
    planned = list(map(name_of_role, roles))
    assert planned[1:6] == [
        "listed, uniform, decode",
        "random, uniform, decode (draw 0)",
        "random, uniform, decode (draw 3)",
        "random-layers, zero, position (draw 12)",
        "random, uniform, decode (draw 1)",
    ]
    assert [planned[0], *planned[6:]] == [None] * 3
    lists = [{"schedule": {"kind": "static", "heads": [f"L0H{place}"]}, "method": "uniform", "scope": "decode"} for place in range(5)]
    names = condition_names([{}, *lists, {"schedule": {"kind": "dynamic"}}], planned[:7])
    assert names == ["clean", *planned[1:6], "dynamic, commit clean"]
    assert list(dict.fromkeys(map(group_name, names))) == [
        "clean",
        "listed, uniform, decode",
        "random, uniform, decode",
        "random-layers, zero, position",
        "dynamic, commit clean",
    ]
    twice = condition_names(lists[:2], ["listed, uniform, decode"] * 2)
    assert twice == ["listed, uniform, decode", "listed, uniform, decode #2"]
