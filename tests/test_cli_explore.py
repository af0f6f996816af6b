"""`mechdyn explore`: the page it writes and the lines it prints."""

import re


def test_a_trace_is_explored_and_listed(run, tmp_path):
    run("trace", "--length", "128", "--out", "one")
    before = sorted((tmp_path / "one").iterdir())
    code, out, _ = run("explore", "one", "--list")
    assert code == 0 and re.search(r"  0 \w{16} niah, length 128, depth 0.5, seed 0: 1 condition, \d answered wrongly", out)
    assert out.endswith("conditions, as --condition takes them:\n  clean\n")
    assert sorted((tmp_path / "one").iterdir()) == before
    code, out, _ = run("explore", "one")
    assert code == 0 and "condition clean" in out
    page = (tmp_path / "one" / "explorer.html").read_text()
    assert "<title>mini · niah · length 128, depth 0.5, seed 0</title>" in page and not re.findall("https?://", page)
    assert run("explore", "one", "--out", "other/page.html")[0] == 0
    assert (tmp_path / "other" / "page.html").exists()


def test_a_folder_that_is_no_run_is_one_line(run, tmp_path):
    code, out, err = run("explore", ".")
    assert (code, out) == (2, "")
    assert re.fullmatch(r"error: \. is neither the folder of a run nor a trace store .*; give the folder that .* wrote into\n", err)
    assert not list(tmp_path.iterdir())
