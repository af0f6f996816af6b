import json
from dataclasses import asdict, replace

import pytest

from mechdyn.errors import InputError, StoreError
from mechdyn.traces.manifest import SCHEMA_VERSION, Manifest, package_versions, parse_manifest
from mechdyn.traces.seals import sealed_json
from tests.traces.examples import manifest


def test_a_manifest_read_back_equals_the_one_written():
    written = manifest(
        score="reasoning", scores="dense", score_options={"sink": 4, "share": (1, 2)}, seeds={"run": 3}, packages={"torch": "2.13.0"}
    )
    assert parse_manifest(written.dumps(), "here") == written


def test_every_field_takes_part_in_equality():
    ours = manifest()
    changes = dict(model="x", revision="x", dtype="x", n_layers=9, n_heads=9, d_model=9, template="x", score="x", score_options={"a": 1})
    changes |= dict(scores="dense", hidden_dtype="float32", hidden_site="x", seeds={"a": 1}, packages={"a": "1"}, schema_version=9)
    assert {*changes, "sha256"} == set(json.loads(ours.dumps()))
    for name, value in changes.items():
        other = replace(ours, **{name: value})
        assert other != ours
        assert len(ours.differences(other)) == 1
        assert ours.differences(other)[0].startswith(f"{name}: ")
    assert ours.differences(manifest()) == []


def test_later_changes_of_the_callers_dict_do_not_reach_the_manifest():
    seeds = {"run": 1}
    ours = manifest(seeds=seeds)
    seeds["run"] = 2
    assert ours.seeds == {"run": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_heads": 0}, "n_heads must be at least 1, got 0"),
        ({"scores": "bits"}, "scores must be one of sparse, dense, got 'bits'"),
        ({"hidden_dtype": "bfloat16"}, "hidden_dtype must be one of float16, float32, got 'bfloat16'"),
        ({"score_options": {"a": object()}}, "score_options must hold JSON values only"),
    ],
)
def test_bad_values_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        manifest(**changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "has no schema version"),
        ("{}", "has no schema version"),
        (
            json.dumps({"schema_version": SCHEMA_VERSION + 1}),
            f"schema version {SCHEMA_VERSION + 1}, this mechdyn reads versions 2 and {SCHEMA_VERSION}; install",
        ),
        (json.dumps({"schema_version": 0}), f"schema version 0, this mechdyn reads versions 2 and {SCHEMA_VERSION}; trace again"),
        (sealed_json({"schema_version": SCHEMA_VERSION, "model": "x"}), "is not a manifest of schema version"),
        (sealed_json({**asdict(manifest()), "n_layers": -1}), "n_layers must be at least 1"),
        (sealed_json({**asdict(manifest()), "schema_version": 2}), "of schema version 2 has a SHA-256"),
        (json.dumps(asdict(manifest())), f"of schema version {SCHEMA_VERSION} lacks its SHA-256"),
        (manifest().dumps().replace("tiny", "tinz"), "was changed since it was written"),
        (manifest().dumps().rstrip(), "was changed since it was written"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_a_bad_file_is_named_with_the_reason(text, message):
    with pytest.raises(StoreError, match=message) as caught:
        parse_manifest(text, "the/place")
    assert "the/place" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_package_versions_leave_out_what_is_not_installed():
    versions = package_versions(["pyarrow", "no-such-package-of-any-kind"])
    assert set(versions) == {"pyarrow"}
    assert Manifest(**{**asdict(manifest()), "packages": package_versions()}).packages["torch"]
