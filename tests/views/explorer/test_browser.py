"""The explorer as a reader meets it: headless Chromium, no network, real clicks and keys."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pytest
import torch

from mechdyn.traces.effect import Effect
from mechdyn.traces.trace import Sources, Trace
from mechdyn.views import explorer
from tests.browser import Browser, needs_browser
from tests.views.explorer.test_pack import with_sources
from tests.views.made_up import made_up

pytestmark = needs_browser
READY = "document.body.dataset.ready"
TEXTS = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "\n",
    " שלום",
    "👩\u200d🚀",
    "\ud83d",
    "&amp;$x$",
    "z" * 2000,
]
STEPS, LAYERS, HEADS = 8, 3, 4


def hand_made() -> tuple[Trace, Trace]:
    """Head L1H2 copies the needle's token 12 at steps 1 and 5, L2H1 only looks at the needle at step 2.

    The ablated run is without L1H2 at step 1, and parts there.
    """
    scores = np.zeros((STEPS, LAYERS, HEADS))
    scores[[1, 5], 1, 2] = scores[3, 0, 0] = 1
    positions = torch.zeros(STEPS, LAYERS, HEADS, 3, dtype=torch.int32)
    positions[...] = torch.tensor([20, 33, 2], dtype=torch.int32)
    positions[[1, 5], 1, 2] = torch.tensor([12, 30, 0], dtype=torch.int32)
    positions[2, 2, 1] = torch.tensor([13, 30, 0], dtype=torch.int32)
    weights = torch.zeros(STEPS, LAYERS, HEADS, 3).half()
    weights[...] = torch.tensor([0.5, 0.25, 0.0001])
    prompt = [f" w{position}" for position in range(40)]
    prompt[20 : 20 + len(TEXTS)] = TEXTS
    clean = made_up(
        scores, texts=TEXTS, prompt_texts=tuple(prompt), sources=Sources(positions, weights), question=TEXTS[0], answer=TEXTS[1]
    )
    off = torch.zeros(STEPS, LAYERS, HEADS, dtype=torch.bool)
    off[1, 1, 2] = True
    other_texts = [TEXTS[0], *(f" x{step}" for step in range(1, STEPS))]
    tokens = clean.tokens + torch.tensor([0, *[50] * (STEPS - 1)])
    return clean, replace(clean, tokens=tokens, token_texts=tuple(other_texts), ablated=off, ablated_scores=clean.retrieval_scores)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clean, ablated = hand_made()
    return explorer({"clean": clean, "dynamic, commit clean": ablated}).save(tmp_path_factory.mktemp("page") / "explorer.html")


@pytest.fixture
def opened(browser: Browser, page: Path) -> Iterator[Browser]:
    browser.open(page, ready=READY)
    yield browser
    assert browser.trouble() == []


def state(browser: Browser) -> dict[str, str]:
    """What the address says."""
    return {name: values[0] for name, values in parse_qs(browser.run("location.hash.slice(1)")).items()}


def grid(browser: Browser) -> dict[tuple[str, int], dict[str, bool]]:
    """The timeline's cells by head and step."""
    rows = browser.run(
        """[...document.querySelectorAll("#plane .row")].map(row => [row.querySelector(".head").textContent,
        [...row.querySelectorAll(".cell")].map(cell => [Number(cell.dataset.step), cell.className, cell.getAttribute("aria-label")])])"""
    )
    cells = {}
    for head, row in rows:
        for step, classes, label in row:
            assert label.startswith(f"{head}, step {step}: {'retrieves' if 'active' in classes else 'does not retrieve'}")
            cells[head, step] = {name: name in classes.split() for name in ("active", "off", "chosen")}
    return cells


def test_it_opens_at_the_strongest_retrieval(browser: Browser, tmp_path: Path) -> None:
    clean = hand_made()[0]
    assert clean.sources is not None
    weights = clean.sources.weights.clone()
    weights[1, 1, 2], weights[5, 1, 2] = torch.tensor([0.04, 0.03, 0.0]), torch.tensor([0.9, 0.01, 0.0])
    weights[2, 2, 1] = torch.tensor([0.99, 0.0, 0.0])  # strong, but it copies nothing
    trace = replace(clean, sources=Sources(clean.sources.positions, weights))
    for shown, place in ((trace, "L1H2 at step 5"), (replace(trace, sources=None), "L1H2 at step 1")):
        browser.open(explorer(shown).save(tmp_path / "page.html"), ready=READY)
        assert browser.text("#chosen").startswith(place)
        assert browser.trouble() == []


@pytest.mark.parametrize("dark", [False, True])
def test_a_page_keeps_the_background_that_was_asked_for(browser: Browser, tmp_path: Path, dark: bool) -> None:
    browser.open(explorer(hand_made()[0], dark=dark).save(tmp_path / "page.html"), dark=not dark, ready=READY)
    assert (browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 28)") is dark
    assert browser.trouble() == []


def test_it_opens_where_a_head_first_retrieves_and_shows_every_score(opened: Browser) -> None:
    cells = grid(opened)
    clean = hand_made()[0]
    assert len(cells) == STEPS * LAYERS * HEADS
    assert {place for place, cell in cells.items() if cell["active"]} == {("L1H2", 1), ("L1H2", 5), ("L0H0", 3)}
    assert [place for place, cell in cells.items() if cell["chosen"]] == [("L1H2", 1)]
    assert opened.texts("#active .chip") == ["L1H2"]
    assert opened.text("#where") == f"step 1 of {clean.n_steps - 1}"
    assert opened.run("[...document.querySelectorAll('#plane .head')].map(each => each.textContent)")[:2] == ["L1H2", "L0H0"]


def test_the_sources_of_the_chosen_head_are_its_own_with_the_copied_token_marked(opened: Browser) -> None:
    assert opened.texts("#sources .position") == ["12", "30", "0"]
    assert opened.texts("#sources .weight") == ["0.500", "0.250", "<.001"]
    assert opened.texts("#sources mark") == [" w12", " w30", " w0"]
    assert opened.texts("#sources .badge") == ["copied", "", ""]
    assert opened.text("#sources .before") == " w5 w6 w7 w8 w9 w10 w11" and opened.text("#sources .after").startswith(" w13 w14")
    assert opened.texts("#context .source") == [" w0", " w12", " w30"]
    assert opened.texts("#context .strongest") == [" w12"]
    assert opened.texts("#context .needle") == [f" w{position}" for position in range(10, 15)]
    assert "3 of 41 positions hold 75 % of its attention" in opened.text("#sources .note")


def test_a_click_on_a_cell_shows_that_head_at_that_step(opened: Browser) -> None:
    opened.click("#cell-0-3")
    assert opened.text("#chosen").startswith("L0H0 at step 3, generating")
    assert opened.texts("#sources .position") == ["20", "33", "2"]
    assert {name: state(opened)[name] for name in ("step", "head")} == {"step": "3", "head": "L0H0"}


def test_a_look_at_the_needle_that_copies_nothing_is_no_copy(opened: Browser) -> None:
    opened.click("#cell-9-2")
    assert opened.text("#chosen").startswith("L2H1 at step 2")
    assert opened.texts("#sources .badge") == ["needle", "", ""]


def test_of_a_continuous_score_eq_1_tells_what_is_copied(browser: Browser, tmp_path: Path) -> None:
    clean = hand_made()[0]
    ids = clean.tokens.clone()
    ids[1] = clean.prompt_tokens[12]
    trace = replace(clean, retrieval_scores=clean.retrieval_scores * 0.75, threshold=0.5, tokens=ids)
    browser.open(explorer(trace).save(tmp_path / "page.html"), "#step=1&head=L1H2", ready=READY)
    assert browser.texts("#sources .badge") == ["copied", "", ""]
    browser.click("#cell-6-5")
    assert browser.texts("#sources .badge") == ["needle", "", ""]
    assert browser.text("#retrieves") == "retrieves: score above 0.5, the stronger the higher"
    assert browser.trouble() == []


def test_a_source_leads_to_its_place_and_tells_who_else_looks_there(opened: Browser) -> None:
    opened.run("document.querySelector('#context').scrollTop = 0")
    opened.click("#sources li:nth-child(2) button")
    assert opened.texts("#context .at") == [" w30"]
    assert opened.texts("#looking .chip") == ["L1H2 0.250"]
    assert opened.text("#looks-title").startswith("1 of 12 heads have position 30 (w30)")
    opened.click("#context .token[data-position='33']")
    assert len(opened.texts("#looking .chip")) == LAYERS * HEADS - 1


def test_conditions_are_compared_and_ablated_heads_crossed_out(opened: Browser) -> None:
    opened.run("((s) => { s.value = 1; s.dispatchEvent(new Event('change')); })(document.querySelector('#versus'))")
    assert opened.text("#parting") == "They part at step 1: “</script><script>alert(1)</script>” against “·x1”."
    assert opened.run("document.querySelectorAll('#generated .differs').length") == STEPS - 1
    assert opened.text("#compared-title") == "Under dynamic, commit clean, generating “·x1”"
    assert "switched off at this step" in opened.text("#compared-sources .note")
    # The ablated run's score is 1 at the needle's token 12, yet it generated another token.
    assert opened.texts("#sources .badge") == ["copied", "", ""]
    assert opened.texts("#compared-sources .badge") == ["not kept", "", ""]
    # Both conditions have their grid, the same heads in both, and a click on either chooses.
    heads = opened.texts("#timeline .head")
    assert opened.texts("#other-timeline .head") == heads and len(heads) == LAYERS * HEADS
    assert opened.texts("#over-steps .note")[:2] == ["clean", "dynamic, commit clean"]
    assert opened.run("[...document.querySelectorAll('#other-timeline .off')].map(each => each.id)") == ["other-cell-6-1"]
    opened.click("#other-cell-0-3")
    assert opened.text("#chosen").startswith("L0H0 at step 3")
    opened.click("#cell-6-1")
    assert state(opened)["versus"] == "dynamic, commit clean"
    opened.run("((s) => { s.value = 1; s.dispatchEvent(new Event('change')); })(document.querySelector('#condition'))")
    assert [place for place, cell in grid(opened).items() if cell["off"]] == [("L1H2", 1)]
    assert opened.texts("#active s") == ["L1H2"]
    assert opened.run("document.querySelector('#other-row').hidden") is True


def test_a_link_leads_back_to_what_was_shown(browser: Browser, page: Path) -> None:
    browser.open(page, "#condition=dynamic%2C+commit+clean&versus=clean&step=5&head=L2H3&show=all&heads=L2&at=12", ready=READY)
    assert browser.text("#chosen").startswith("L2H3 at step 5, generating “·x5”")
    assert browser.texts("#plane .head") == [f"L2H{head}" for head in range(HEADS)]
    assert browser.run("document.querySelector('#condition').value + document.querySelector('#versus').value") == "10"
    assert browser.texts("#context .at") == [" w12"]
    assert browser.trouble() == []


def test_a_link_that_names_nothing_is_harmless(browser: Browser, page: Path) -> None:
    browser.open(page, "#condition=<b>&step=99&head=L9H9&show=?&heads=nonsense&at=x", ready=READY)
    assert browser.text("#where") == f"step {STEPS - 1} of {STEPS - 1}"
    assert browser.text("#wrong") == "no head of this model: nonsense"
    assert browser.trouble() == []


def test_the_back_button_goes_back_a_look(opened: Browser) -> None:
    opened.click("#cell-0-3")
    opened.click("#cell-6-5")
    opened.back()
    opened.wait("document.body.dataset.step === '3'")
    assert opened.text("#chosen").startswith("L0H0 at step 3")
    opened.back()
    opened.wait("document.body.dataset.step === '1'")
    assert opened.text("#chosen").startswith("L1H2 at step 1")


def test_the_keyboard_does_it_all(opened: Browser) -> None:
    opened.run("document.querySelector('#timeline').focus()")
    opened.press("right", "right")
    assert opened.run("document.body.dataset.step") == "3"
    opened.press("down")
    assert opened.run("document.body.dataset.head") == "L0H0"
    assert opened.run("document.querySelector('#timeline').getAttribute('aria-activedescendant')") == "cell-0-3"
    assert opened.text("#live") == "L0H0, step 3: retrieves, score 1"
    opened.press("up", "left", "left")
    assert opened.run("document.body.dataset.head + document.body.dataset.step") == "L1H21"
    opened.press("/")
    assert opened.run("document.activeElement.id") == "heads"
    opened.press("L", "2")
    assert opened.texts("#plane .head") == [f"L2H{head}" for head in range(HEADS)]


def test_every_control_can_be_reached_and_its_focus_is_seen(opened: Browser) -> None:
    reached = []
    for _ in range(40):
        opened.press("tab")
        reached.append(opened.run("document.activeElement.id"))
        assert opened.run("document.activeElement === document.body || getComputedStyle(document.activeElement).outlineStyle === 'solid'")
    wanted = "condition versus back play forward generated show heads timeline needle strongest follow context"
    assert set(wanted.split()) <= set(reached)


def test_space_plays_through_the_steps_and_stops(opened: Browser) -> None:
    length = opened.run("history.length")
    opened.press("space")
    assert opened.run("document.querySelector('#play').textContent") == "Pause"
    opened.wait("Number(document.body.dataset.step) >= 3")
    opened.press("space")
    stopped = opened.run("document.body.dataset.step")
    assert opened.text("#play") == "Play" and state(opened)["step"] == stopped
    assert opened.run("history.length") == length


def test_heads_are_filtered(opened: Browser) -> None:
    choose = "((s, value) => {{ s.value = value; s.dispatchEvent(new Event('change')); }})(document.querySelector('#show'), '{}')"
    for shown, heads in {"now": ["L1H2"], "ever": ["L0H0", "L1H2"], "all": [f"L{i // HEADS}H{i % HEADS}" for i in range(12)]}.items():
        opened.run(choose.format(shown))
        assert opened.texts("#plane .head") == heads, shown
        assert state(opened)["show"] == shown


def test_hostile_text_shows_as_it_is(opened: Browser) -> None:
    assert opened.text("#question") == TEXTS[0] and opened.text("#answer") == TEXTS[1]
    shown = opened.texts("#context .token")[20 : 20 + len(TEXTS)]
    assert shown == [*TEXTS[:2], "⏎\n", *TEXTS[3:5], "\ufffd", *TEXTS[6:]]
    labels = ["⏎", "·שלום", "👩\u200d🚀", "\ufffd", "&amp;$x$", "z" * 2000]
    assert opened.texts("#generated .step") == [*TEXTS[:2], *labels]
    assert opened.run("document.querySelectorAll('img, main script').length") == 0


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 400])
def test_it_fits_wide_and_narrow_windows_and_stands_out(browser: Browser, page: Path, width: int, dark: bool) -> None:
    browser.open(page, "#versus=dynamic%2C+commit+clean&at=12", width=width, dark=dark, ready=READY)
    assert browser.trouble() == []
    small = browser.run(
        """[...document.querySelectorAll("main *")].filter(each => each.childElementCount === 0 && each.textContent.trim()
        && each.offsetParent && parseFloat(getComputedStyle(each).fontSize) < 11).map(each => each.className)"""
    )
    assert small == []
    background = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(20, 23, 28)") is dark
    cut = browser.run(
        """[...document.querySelectorAll("#bar *, .filters *, h1, h2, h3")].filter(each => each.offsetParent
        && each.getBoundingClientRect().right > innerWidth).map(each => each.outerHTML)"""
    )
    assert cut == []


def test_a_thousand_heads_and_a_hundred_thousand_tokens_make_few_elements(browser: Browser, tmp_path: Path) -> None:
    words = tuple(f" w{position % 1000}" for position in range(100_000))
    trace = with_sources(n_prompt=100_000, steps=6, layers=32, heads=32, k=4, prompt_texts=words)
    browser.open(explorer(trace).save(tmp_path / "long.html"), "#show=all&step=0&head=L31H31", ready=READY)
    assert browser.run("document.querySelectorAll('*').length") < 12_000
    assert browser.run("document.querySelector('#plane .chosen') !== null")
    first = int(browser.text("#sources .position").replace(",", ""))
    assert browser.run("document.querySelector('#context .strongest').dataset.position") == str(first)
    assert browser.texts("#context .strongest") == [words[first]]
    assert browser.run("document.querySelector('#context').scrollTop") > 1000
    assert browser.trouble() == []


def test_a_trace_without_sources_says_so(browser: Browser, tmp_path: Path) -> None:
    browser.open(explorer(replace(hand_made()[0], sources=None)).save(tmp_path / "p.html"), ready=READY)
    assert browser.text("#sources") == "Sources of this run were not captured."
    assert browser.trouble() == []


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (400, True)])
def test_an_effect_is_shown_step_by_step_where_there_is_one(browser: Browser, tmp_path: Path, width: int, dark: bool) -> None:
    clean, ablated = hand_made()
    taken = torch.tensor([[0.5, 2.0, 0.0, -1.0, 0.1, 0.2, 0.3, 0.4], [0.0] * 8])
    heads = torch.zeros(2, STEPS, LAYERS, HEADS, dtype=torch.bool)
    heads[0, :, 1, 2] = heads[1, 4, 0, 0] = True
    effect = Effect(("L1H2", TEXTS[0]), clean.tokens, clean.token_texts, torch.full((STEPS,), -0.1), (-0.1 - taken)[..., None], heads)
    page = explorer({"clean": replace(clean, effect=effect), "dynamic": ablated}).save(tmp_path / "page.html")
    browser.open(page, "#condition=clean&step=1", ready=READY, width=width, dark=dark)
    assert not browser.run("document.querySelector('#effect').hidden")
    assert browser.text("#effect-here") == "step 1: 2.000 nats; mean of 8 steps 0.312"
    bars = browser.run(
        """[...document.querySelectorAll("#plane .taken")].map(bar => [Number(bar.dataset.step), bar.offsetHeight,
        bar.classList.contains("less"), bar.title])"""
    )
    assert [step for step, *_ in bars] == list(range(STEPS)) and [step for step, _, less, _ in bars if less] == [3]
    assert bars[1][1] == pytest.approx(2 * bars[3][1], abs=2) and bars[3][3] == "step 3: -1.000 nats"
    left = "document.querySelector('#plane .{}[data-step=\"3\"]').getBoundingClientRect().left"
    assert abs(browser.run(left.format("taken")) - browser.run(left.format("cell"))) <= 1
    browser.run("(list => { list.selectedIndex = 1; list.dispatchEvent(new Event('change')); })(document.querySelector('#effect-set'))")
    assert browser.text("#effect-here") == "step 1: the set has no head at this step; mean of 1 step 0.000"
    assert state(browser)["effect"] == TEXTS[0]
    browser.run("(menu => { menu.value = 1; menu.dispatchEvent(new Event('change')); })(document.querySelector('#condition'))")
    assert browser.run("document.querySelector('#effect').hidden") and not browser.run("document.querySelector('#plane .taken')")
    assert not browser.run("document.documentElement.scrollWidth > innerWidth") and browser.trouble() == []


def test_the_difference_grid_is_what_each_condition_has_alone(browser: Browser, tmp_path: Path) -> None:
    clean, ablated = hand_made()
    scores = clean.retrieval_scores.clone()
    scores[1, 1, 2], scores[4, 2, 3] = 0, 1
    written = explorer({"clean": clean, "other": replace(ablated, retrieval_scores=scores)}).save(tmp_path / "page.html")
    browser.open(written, "#condition=clean&versus=other&show=all", ready=READY)
    labels = browser.run("[...document.querySelectorAll('#difference-timeline .cell')].map(cell => cell.getAttribute('aria-label'))")
    assert len(labels) == STEPS * LAYERS * HEADS
    assert sorted(label for label in labels if not label.endswith(": the same")) == [
        "L1H2, step 1: retrieves only under clean",
        "L2H3, step 4: retrieves only under other",
    ]
    assert browser.text("#difference-name") == "difference: other less clean" and browser.trouble() == []
