// Wires the parts together: one state, drawn afresh whenever it changes.

async function start() {
  const data = await openIndex();
  const filter = makeFilter(data), app = makeState(data, draw);
  const open = () => byId("open") && (location.href = byId("open").href);
  const list = makeList(data, app, filter, open), detail = makeDetail(data, app);
  let heads = null, run = null, drawn = "";

  function draw() {
    const {state} = app;
    for (const page of PAGES) {
      byId(page).hidden = page !== state.page;
      byId(`to-${page}`).setAttribute("aria-current", page === state.page ? "page" : "false");
    }
    drawChoices();
    if (state.page === "samples") {
      list.draw();
      detail.draw();
    } else drawPage();
    document.body.dataset.page = state.page;
  }

  // The other pages are drawn once what they need is there, and again only when what they show changes.
  async function drawPage() {
    const {page, condition, versus, at} = app.state, key = [page, condition, versus, at, filter.ready()].join();
    if (key === drawn) return;
    const pane = byId(page).querySelector(".content");
    if (page === "results") run ??= await openRun();
    else heads ??= await openHeads();
    if (page !== app.state.page) return;
    drawn = key;
    const [head] = parseHeads(data, at).heads;
    const made = page === "results" ? drawRun(data, run) : page === "compare" ? drawCompare(data, heads, app) : head === undefined ? drawHeads(data, heads, app) : drawHead(data, heads, app, filter, head);
    pane.replaceChildren(made);
    document.body.dataset.drawn = key;
  }

  function drawChoices() {
    const {state} = app;
    for (const select of document.querySelectorAll("select.condition")) select.value = state.condition;
    byId("versus").value = state.versus;
    byId("answers").value = state.answers;
    for (const select of byId("facts").querySelectorAll("select")) select.value = state.facts[select.dataset.fact] ?? "";
    for (const name of ["text", "head"]) if (byId(name) !== document.activeElement) byId(name).value = state[name];
  }

  function choices() {
    const names = data.conditions.map((name, index) => new Option(name, index));
    for (const select of document.querySelectorAll("select.condition")) {
      select.append(...names.map(each => each.cloneNode(true)));
      select.addEventListener("change", () => app.set({condition: Number(select.value)}));
    }
    byId("versus").append(...names.slice(1).map(each => each.cloneNode(true)));
    byId("versus").addEventListener("change", event => app.set({versus: Number(event.target.value)}));
    byId("answers").append(...Object.entries(ANSWERS).map(([value, text]) => new Option(text, value)));
    byId("answers").addEventListener("change", event => app.set({answers: event.target.value}));
    for (const {name, choices} of filter.facts) {
      if (!choices || choices.length < 2) continue;
      const label = make("label", {textContent: `${name} `}), select = make("select");
      select.dataset.fact = name;
      select.append(new Option("any", ""), ...choices.map(choice => new Option(choice.name, choice.name)));
      select.addEventListener("change", () => app.set({facts: {...app.state.facts, [name]: select.value}}));
      label.append(select);
      byId("facts").append(label);
    }
    for (const name of ["text", "head"]) byId(name).addEventListener("input", event => app.set({[name]: event.target.value}, {remember: false}));
    byId("clear").addEventListener("click", () => app.set({answers: "", text: "", head: "", facts: {}, sort: ""}));
    byId("about").textContent = `${whole(data.nSamples)} samples, ${whole(data.part.length)} generations, ${data.layers} layers × ${data.heads} heads, ${data.score} score`;
    byId("verdicts").textContent = data.verdicts.map(({claim, outcome}) => `${claim}: ${outcome}`).join(" · ");
    byId("help-close").addEventListener("click", () => byId("help").close());
    byId("help-open").addEventListener("click", () => byId("help").showModal());
    if (data.report) byId("to-report").href = data.report;
    else byId("to-report").hidden = true;
  }

  // On a head's page j and k go to the next heads, in the list to the next samples.
  function step(by) {
    const [head] = parseHeads(data, app.state.at).heads;
    if (app.state.page === "samples") list.move(by);
    else if (app.state.page === "heads" && head !== undefined && head + by >= 0 && head + by < data.total) app.set({at: headName(data, head + by)});
    else return false;
  }

  function leave() {
    if (byId("help").open) {
      byId("help").close();
      document.activeElement.blur();
    } else if (document.activeElement !== document.body) document.activeElement.blur();
    else if (app.state.page === "heads" && app.state.at) app.set({at: ""});
    else app.set({page: "samples", sample: ""});
  }

  function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") { leave(); event.preventDefault(); return; }
    if (["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName) || byId("help").open) return;
    const button = ["BUTTON", "A"].includes(event.target.tagName);
    const acts = {
      j: () => step(1), k: () => step(-1),
      ArrowDown: () => app.state.page === "samples" && !button ? list.move(1) : false,
      ArrowUp: () => app.state.page === "samples" && !button ? list.move(-1) : false,
      PageDown: () => app.state.page === "samples" ? list.move(15) : false,
      PageUp: () => app.state.page === "samples" ? list.move(-15) : false,
      Enter: () => button || app.state.page !== "samples" ? false : open(),
      "/": () => { app.set({page: "samples"}); byId("text").focus(); },
      "?": () => byId("help").showModal(),
    };
    if (acts[event.key] && acts[event.key]() !== false) event.preventDefault();
  }

  choices();
  app.read();
  list.reveal();
  addEventListener("keydown", keys);
  addEventListener("hashchange", () => list.reveal());
  document.body.dataset.ready = Math.round(performance.now());
  const {array} = await readBlock(await load("counts"));
  filter.takeCounts(array("counts"));
  draw();
  document.body.dataset.counts = Math.round(performance.now());
}

start().catch(error => {
  byId("failed").hidden = false;
  byId("failed").textContent = `This page could not be read: ${error.message}. It needs Chrome or Edge 111, Firefox 113, Safari 16.4, or later.`;
  throw error;
});
