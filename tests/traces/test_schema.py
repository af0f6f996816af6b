import json

import pyarrow as pa
import pytest

from mechdyn.traces.schema import row_bytes, steps_schema, traces_schema
from tests.traces.examples import manifest


@pytest.mark.parametrize("schema", [steps_schema, traces_schema])
def test_a_part_says_how_to_unpack_it(schema):
    declared = json.loads(schema(manifest(scores="dense")).metadata[b"mechdyn"])
    assert declared["scores"] == "dense"
    assert (declared["n_layers"], declared["n_heads"], declared["d_model"]) == (3, 4, 8)
    assert declared["schema_version"] == 3


@pytest.mark.parametrize(("dtype", "kind"), [("float16", pa.float16()), ("float32", pa.float32())])
def test_hidden_states_have_the_asked_type(dtype, kind):
    assert steps_schema(manifest(hidden_dtype=dtype)).field("hidden").type == pa.list_(kind, 8)


def test_score_columns_follow_the_packing():
    assert steps_schema(manifest()).field("scores").type == pa.list_(pa.int32())
    assert steps_schema(manifest(scores="dense")).field("scores").type == pa.list_(pa.float32(), 12)


def test_row_bytes_is_of_the_right_size():
    wide = manifest(scores="dense", n_layers=32, n_heads=32, d_model=4096)
    assert 4 * 1024 + 2 * 4096 <= row_bytes(wide) <= 1.1 * (4 * 1024 + 2 * 4096)
