"""What needs no model to be refused is refused before one is loaded: with a model that is not there, the option is what is named."""

import pytest

MODEL = ["--model", "no-such-model"]
REFUSED = {
    "claim": (["verify", "dynamsm"], "unknown claim 'dynamsm'"),
    "preset": (["verify", "dynamism", "--preset", "huge"], "unknown preset 'huge'; give one of quick, standard, paper"),
    "engine": (["verify", "dynamism", "--engine", "warp"], "engine must be one of auto, bridge, fast, static, got 'warp'"),
    "threads": (["verify", "dynamism", "--threads", "many"], "threads must be auto or a number from 1 to 1024, got 'many'"),
    "no thread": (["trace", "--threads", "0"], "threads must be auto or a number from 1 to 1024, got '0'"),
    "threads of workers": (["verify", "dynamism", "--threads", "auto", "--workers", "2"], "--threads auto measures one process"),
    "device map": (["verify", "dynamism", "--device-map", "all"], "device_map must be auto, got 'all'"),
    "length": (["verify", "dynamism", "--length", "0"], "length must be a positive number of tokens, got 0"),
    "depth": (["ablate", "--depth", "1.5"], "depth must lie in [0, 1], got 1.5"),
    "static heads": (["verify", "dynamism", "--heads", "nofile.json"], "there is no file 'nofile.json'"),
    "heads": (["modes", "--heads", "L3"], "a head is written like L4H7"),
    "heads off": (["trace", "--off", "dynamc"], "there is no file 'dynamc'"),
    "method and no heads": (["trace", "--method", "mean"], "says how heads are off; say which with --off"),
    "haystack": (["trace", "--haystack", "nowhere.txt"], "haystack nowhere.txt cannot be read"),
    "data": (["verify", "dynamism", "--task", "hotpotqa", "--data", "nowhere.json"], "there is no file nowhere.json"),
    "needle": (["trace", "--needle", " "], "the needle is empty"),
    "folder of something else": (["trace", "--out", "."], "exists and is not the folder of a run"),
    "file in the way": (["trace", "--out", "file.txt/run"], "output folder file.txt/run cannot be written"),
    "format": (["heads", "detect", "--format", "nope"], "unknown head-file format 'nope'"),
    "run beside": (["follows", "--beside", "nowhere"], "nowhere is not the folder of a run"),
    "probe": (["rag", "--probe", "nowhere"], "nowhere"),
    "heads of a strategy": (["rag", "--heads", "0"], "greater than or equal to 1"),
    "sink": (["sensitivity", "--sink", "-1"], "greater than or equal to 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_before_a_model_is_loaded(run, tmp_path, case):
    (tmp_path / "file.txt").write_text("")
    arguments, message = REFUSED[case]
    code, out, err = run(*arguments, *MODEL)
    assert code == 2 and message in err, err
    assert "no-such-model" not in err and not out
