from mechdyn.heads import Head, RankedHeads
from mechdyn.studies.conditions import CONDITIONS, Detection, condition_name, role, schedules


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
