"""A sweep whose output is an S3 bucket, on moto's server on loopback. Skips where moto or s3fs is not installed."""

import importlib.util

import pytest

from mechdyn.runs.pointers import find_stores
from mechdyn.runs.sweep import sweep
from mechdyn.runs.sweep_plan import read_plan
from mechdyn.traces.store import TraceStore
from tests.faults.sweeps import trace_hash

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("moto") is None or importlib.util.find_spec("s3fs") is None, reason="needs moto[server] and s3fs"
    ),
]
PLAN = """
models = ["planted-dynamic"]
tasks = ["niah"]
claims = ["dynamism"]
[options]
length = [128]
depth = [0.5]
runs = 2
max_new_tokens = 8
"""


@pytest.fixture
def bucket(monkeypatch):
    """A bucket of a server that listens on loopback; fsspec finds it by its environment."""
    import fsspec
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setitem(fsspec.config.conf, "s3", {"endpoint_url": f"http://{host}:{port}"})
    s3fs.S3FileSystem.clear_instance_cache()
    fs = s3fs.S3FileSystem(endpoint_url=f"http://{host}:{port}")
    fs.mkdir("sweeps")
    yield fs
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_sweep_into_a_bucket_is_that_into_a_folder(bucket, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.toml").write_text(PLAN)
    runs = read_plan(tmp_path / "plan.toml")
    (there,) = sweep(runs, "s3://sweeps/one")
    (here,) = sweep(runs, tmp_path / "out")
    assert bucket.cat_file(f"sweeps/one/{runs[0].name}/verdicts.json") == (here.folder / "verdicts.json").read_bytes()
    urls = [next(iter(find_stores(result.folder).values())) for result in (there, here)]
    assert urls[0].startswith("s3://sweeps/one/stores/")
    ours, theirs = ({trace.unit: trace_hash(trace) for trace in TraceStore.open(url).traces()} for url in reversed(urls))
    assert ours == theirs and len(ours) == 6
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (again,) = sweep(runs, "s3://sweeps/one")
    assert again.state == "done before"
