"""The viewer as a reader meets it: headless Chromium, no network, a folder on the disk, real clicks and keys."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from mechdyn.heads import Head, RankedHeads
from mechdyn.reports.viewer import make_viewer
from mechdyn.runs.viewing import view
from mechdyn.studies.head_activity import KINDS
from mechdyn.studies.head_summary import HeadSummary, generation_of, summarise
from mechdyn.tasks.task import is_correct
from tests.browser import Browser, needs_browser
from tests.views.viewer.runs import ABLATED, HEADS, HOSTILE, LAYERS, SAMPLES, STEPS, trace_of, verdict, write_run

pytestmark = needs_browser
FILL = """(([id, value]) => { const field = document.getElementById(id); field.value = value;
field.dispatchEvent(new Event(field.tagName === "SELECT" ? "change" : "input")); })(arguments[0])"""
CELLS = """[...document.querySelectorAll(arguments[0])].map(cell => [Number(cell.dataset.step), Number(cell.dataset.head),
cell.classList.contains("active"), cell.classList.contains("off")])"""
CHOOSE_LENGTH = """(() => { const select = document.querySelector("[data-fact=length]"); select.value = "200";
select.dispatchEvent(new Event("change")); })()"""
ACTIVE = "[...document.querySelectorAll('.example')].map(each => [...each.querySelectorAll('.token.active')].map(token => token.title))"
READY, DYNAMIC = "document.body.dataset.counts", "dynamic, commit clean"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("viewed")
    ranked = RankedHeads((Head(1, 2), Head(0, 1)), (0.75, 0.5), LAYERS, HEADS, statistic=HOSTILE[0])
    ranked.save(base / "published.json")
    run = write_run(base / "run")
    return make_viewer(view(run, [f"<u>published</u>={base / 'published.json'}"]), base / "a viewer's folder").page.parent


@pytest.fixture(scope="module")
def summary() -> HeadSummary:
    clean = [generation_of(trace_of(number)) for number in range(SAMPLES)]
    off = [generation_of(trace_of(number, ablated=True)) for number in reversed(range(ABLATED))]
    return summarise({"clean": clean, DYNAMIC: off}, LAYERS, HEADS)


@pytest.fixture
def opened(browser: Browser, folder: Path) -> Iterator[Browser]:
    browser.open(folder / "index.html", ready=READY)
    yield browser
    assert trouble(browser, folder) == []


def trouble(browser: Browser, folder: Path) -> list[str]:
    """All but the viewer's own data files."""
    own = f"loaded {(folder / 'data').resolve().as_uri()}/"
    return [line for line in browser.trouble() if not line.startswith(own)]


def state(browser: Browser) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(browser.run("location.hash.slice(1)")).items()}


def listed(browser: Browser) -> list[int]:
    """The samples of the rows in sight."""
    return [int(text) for text in browser.texts("#rows .c-number")]


def fill(browser: Browser, name: str, value: str) -> list[int]:
    browser.run(FILL, [name, value])
    return listed(browser)


def right(number: int, *, ablated: bool = False) -> bool:
    trace = trace_of(number, ablated=ablated)
    return is_correct(trace.task, trace.text, trace.answer)


def test_rows_are_the_stores(opened: Browser) -> None:
    assert opened.text("#found") == f"{SAMPLES} of {SAMPLES} samples"
    cells = opened.run("[...document.querySelectorAll('#rows .row')].map(row => [...row.children].map(cell => cell.textContent))")
    assert 20 < len(cells) < SAMPLES
    for number, cell in enumerate(cells):
        trace = trace_of(number)
        active = trace.active.flatten(1).numpy()
        answer = "✓ right" if right(number) else "✗ wrong"
        facts = [str(trace.meta["length"]), f"{trace.meta['depth']:g}", str(number)]
        shares = [f"{round(100 * active.any(axis=1).mean())} %", f"{active.sum(axis=1).mean():.1f}"]
        assert cell == [str(number), *facts, answer, str(STEPS), *shares, trace.text]


def test_filters_leave_what_holds(opened: Browser) -> None:
    assert fill(opened, "answers", "wrong") == [number for number in range(SAMPLES) if not right(number)]
    fill(opened, "answers", "")
    assert fill(opened, "text", "W12") == [12]
    assert fill(opened, "text", "alert(3)") == [number for number in range(SAMPLES) if number % len(HOSTILE) == 3]
    fill(opened, "text", "")
    assert fill(opened, "head", "L2H3") == []
    chance = [number for number in range(SAMPLES) if trace_of(number).active[:, 2, 1].any() and trace_of(number).active[:, 0, 1].any()]
    assert fill(opened, "head", "L2H1 l0h1") == chance
    counts = [int(text) for text in opened.texts("#rows .c-head")]
    assert counts == [int(trace_of(number).active[:, 2, 1].sum() + trace_of(number).active[:, 0, 1].sum()) for number in chance]
    fill(opened, "head", "L9H9")
    assert opened.text("#wrong") == "no head of this model: L9H9"
    opened.click("#clear")
    opened.run(CHOOSE_LENGTH)
    assert listed(opened) == list(range(1, SAMPLES, 4)) and state(opened)["is.length"] == "200"


def test_conditions_and_what_they_break(browser: Browser, folder: Path) -> None:
    browser.open(folder / "index.html", f"#condition={DYNAMIC}", ready=READY)
    assert listed(browser) == list(range(ABLATED))
    broken = [number for number in range(ABLATED) if right(number) and not right(number, ablated=True)]
    assert broken and fill(browser, "answers", "broken") == broken
    assert fill(browser, "answers", "mended") == []


def test_a_column_sorts_both_ways(opened: Browser) -> None:
    means = [float(trace_of(number).active.flatten(1).sum(dim=1).float().mean()) for number in range(SAMPLES)]
    for sign in (1, -1):
        opened.click("[data-sort=heads]")
        order = sorted(range(SAMPLES), key=lambda number: (sign * means[number], number))
        assert listed(opened) == order[: len(listed(opened))]
    opened.click("[data-sort=heads]")
    assert listed(opened)[0] == 0 and "sort" not in state(opened)


def test_keys_walk_the_list_and_open_the_explorer_and_come_back(opened: Browser, folder: Path) -> None:
    opened.press("j", "j", "j", "k")
    assert int(state(opened)["sample"], 16) == 1
    assert opened.text("#detail h2") == "Sample 1" and opened.texts("#detail dd") == [f"{HOSTILE[0]} 1", trace_of(1).answer]
    assert opened.texts("#detail .text") == [trace_of(1).text, trace_of(1, ablated=True).text]
    opened.press("/")
    assert opened.run("document.activeElement.id") == "text"
    opened.press("\ue00c", "?")
    assert opened.run("document.getElementById('help').open")
    opened.press("\ue00c", "enter")
    opened.wait("location.pathname.endsWith('explorer.html') && document.body.dataset.ready")
    assert opened.text("#question") == f"{HOSTILE[0]} 1"
    opened.press("j")
    opened.wait(f"location.search.endsWith('{2:016x}') && document.body.dataset.ready")
    assert trouble(opened, folder) == []
    opened.press("\ue00c")
    opened.wait("document.body.dataset.counts")
    assert int(state(opened)["sample"], 16) == 2


def test_the_explorers_cells_are_the_traces(browser: Browser, folder: Path) -> None:
    browser.open(
        f"{folder.resolve().as_uri()}/explorer.html?sample={5:016x}", f"#versus={DYNAMIC}&show=all", ready="document.body.dataset.ready"
    )
    for grid, trace in (("#timeline", trace_of(5)), ("#other-timeline", trace_of(5, ablated=True))):
        cells = browser.run(CELLS, f"{grid} .cell")
        assert len(cells) == STEPS * LAYERS * HEADS
        off = trace.ablated
        for step, head, active, switched in cells:
            layer, place = divmod(head, HEADS)
            assert active == bool(trace.active[step, layer, place])
            assert switched == (off is not None and bool(off[step, layer, place]))
    assert browser.texts("#generated bdi")[1] != "" and browser.text("#context").startswith("[0][1][2]")
    assert trouble(browser, folder) == []


def test_a_samples_explorer_that_is_not_there_says_so(browser: Browser, folder: Path) -> None:
    browser.open(f"{folder.resolve().as_uri()}/explorer.html?sample=<img src=x>", ready="!document.getElementById('failed').hidden")
    assert "the run has no sample" in browser.text("#failed")


def between(interval: list[float]) -> str:
    estimate, low, high = interval
    return f"{estimate:.3f} [{low:.3f}, {high:.3f}]"


def test_shares_of_heads_are_those_computed(browser: Browser, folder: Path, summary: HeadSummary) -> None:
    for index, name in enumerate(("clean", DYNAMIC)):
        browser.open(folder / "index.html", f"#page=heads&condition={name}", ready="document.querySelector('#heads .grid')")
        labels = browser.run("[...document.querySelectorAll('#heads .grid button')].map(cell => cell.getAttribute('aria-label'))")
        found = list(summary.shares.values())[index]
        wanted = [
            f"L{head // HEADS}H{head % HEADS}: {between([found.estimate[head], found.low[head], found.high[head]])}"
            for head in range(LAYERS * HEADS)
        ]
        assert labels == wanted
    pairs = sorted(summary.pairs, key=lambda pair: pair.chance - pair.jaccard.estimate)[0]
    assert f"{pairs.first} and {pairs.second}" in browser.text("#heads .content")
    assert trouble(browser, folder) == []


def test_a_heads_page_says_what_was_computed(browser: Browser, folder: Path, summary: HeadSummary) -> None:
    browser.open(folder / "index.html", "#page=heads&at=L1H2", ready=f"{READY} && document.querySelector('.example')")
    text = browser.text("#heads .content")
    head = HEADS + 2
    for shares in summary.shares.values():
        assert between([shares.estimate[head], shares.low[head], shares.high[head]]) in text
    for kind, shares in zip(KINDS, summary.kinds, strict=True):
        assert (f"{kind}, {shares.n} steps" in text) == (shares.n > 0)
    (off,) = summary.switched_off[head]
    assert off.clean.n == ABLATED and off.others == 0
    row = browser.run("[...document.querySelectorAll('#heads table')].at(-1).textContent")
    assert all(f"{interval:.3f}" in row for interval in (off.clean, off.off, off.difference))
    ranks = browser.texts("#heads table:first-of-type tbody tr:nth-child(2) td")[:5]
    assert ranks == ["<u>published</u>", "1", "2", "0.75", HOSTILE[0]]
    shown = browser.run(ACTIVE)
    assert all(len(tokens) == 1 for tokens in shown)
    browser.press("j")
    assert state(browser)["at"] == "L1H3" and trouble(browser, folder) == []


def test_the_comparison_is_the_one_computed(browser: Browser, folder: Path, summary: HeadSummary) -> None:
    browser.open(folder / "index.html", "#page=compare", ready="document.querySelectorAll('#compare .grid').length === 3")
    labels = browser.run("[...document.querySelectorAll('#compare figure:last-child button')].map(cell => cell.getAttribute('aria-label'))")
    wanted = [f"L{head // HEADS}H{head % HEADS}: {found:.3f}" for head, found in enumerate(summary.differences[DYNAMIC])]
    assert labels == wanted
    assert trouble(browser, folder) == []


def test_results_are_the_folders(browser: Browser, folder: Path) -> None:
    browser.open(folder / "index.html", "#page=results", ready="document.querySelector('#results h2')")
    text = browser.text("#results")
    kept = verdict()
    assert kept.headline in text and all(reason in text for reason in kept.reasons)
    assert "0.123 [0.100, 0.200]" in text and "0.500" in text and HOSTILE[1] in text and "2026-01-02" in text
    assert browser.text("#verdicts") == f"dynamism: {kept.outcome}"
    assert "there is no report" in text and trouble(browser, folder) == []


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_the_window(browser: Browser, folder: Path, width: int, dark: bool) -> None:
    for fragment in ("", "#page=heads", "#page=heads&at=L1H2", "#page=compare", "#page=results"):
        browser.open(folder / "index.html", fragment, width=width, dark=dark, ready=READY)
        assert trouble(browser, folder) == []
    background = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") != dark


def test_a_narrow_list_shows_number_answer_steps_and_text(browser: Browser, folder: Path) -> None:
    visible = "[...document.querySelectorAll(arguments[0])].filter(cell => cell.clientWidth > 20).map(cell => cell.classList[1])"
    browser.open(folder / "index.html", width=400, ready=READY)
    shown = [f"c-{name}" for name in ("number", "right", "steps", "text")]
    assert browser.run(visible, "#columns .cell") == shown and browser.run(visible, "#row-0 .cell") == shown
    assert browser.run("document.querySelector('#row-0 .c-text').clientWidth > 120")


def test_a_data_file_that_is_missing_or_cut_is_named(browser: Browser, folder: Path, tmp_path: Path) -> None:
    import shutil

    for damage in (lambda path: path.unlink(), lambda path: path.write_text(path.read_text()[:50])):
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        damage(copy / "data" / "index.js")
        browser.open(copy / "index.html", ready="!document.getElementById('failed').hidden")
        assert "data/index.js is missing or damaged; make the viewer again" in browser.text("#failed")


def test_places_are_those_of_the_needles_tokens(browser: Browser, folder: Path, summary: HeadSummary) -> None:
    """The needle has 5 tokens, and the answers generate each of them equally often."""
    assert summary.places is not None
    n_each = SAMPLES * STEPS // 5
    assert [shares.n for shares in summary.places] == [n_each, 0] * 5
    browser.open(folder / "index.html", "#page=heads&at=L0H0", ready="document.querySelector('#heads .share')")
    assert f"tenth 3, {n_each} steps" in browser.text("#heads")
