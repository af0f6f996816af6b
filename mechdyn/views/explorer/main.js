// Wires the parts together: one state, drawn afresh whenever it changes.

const PLAY_EVERY = 700;

async function start() {
  const data = await openData();
  let timer = null, strips = "";
  const app = makeState(data, draw);
  const timeline = makeTimeline(data, app, byId("timeline"), app.run, "cell");
  const otherTimeline = makeTimeline(data, app, byId("other-timeline"), app.other, "other-cell");
  const changed = () => app.other() && difference(app.run(), app.other());
  const differenceTimeline = makeTimeline(data, app, byId("difference-timeline"), changed, "difference-cell");
  const context = makeContext(data, app);
  const details = makeDetails(data, app, position => context.show(position));

  function draw() {
    const {state} = app, run = app.run();
    drawChoices();
    drawGenerated();
    byId("where").textContent = `step ${state.step} of ${run.steps - 1}`;
    drawGrids(run, app.other());
    details.draw();
    context.draw();
    if (timer === null) byId("live").textContent = timeline.about(state.head, state.step);
    document.body.dataset.step = state.step;
    document.body.dataset.head = headName(data, state.head);
  }

  function drawChoices() {
    byId("condition").value = app.state.condition;
    byId("versus").value = app.state.versus;
    byId("show").value = app.state.show;
    byId("show").disabled = app.state.list.trim() !== "";
    if (byId("heads") !== document.activeElement) byId("heads").value = app.state.list;
  }

  // The heads of the condition over its steps, and below them the same heads in the one that it is compared with.
  function drawGrids(run, other) {
    const {heads, wrong} = app.heads();
    byId("wrong").textContent = wrong.length ? `no head of this model: ${wrong.join(", ")}` : "";
    byId("retrieves").textContent = run.binary ? "retrieves" : `retrieves: score above ${run.threshold}, the stronger the higher`;
    byId("shown").textContent = `${heads.length} of ${data.total} heads`;
    byId("grid-name").textContent = other ? run.name : "";
    drawEffect(run);
    byId("other-grid").hidden = !other;
    byId("over-steps").classList.toggle("two", other !== null);
    timeline.draw();
    if (!other) return;
    byId("other-grid-name").textContent = other.name;
    otherTimeline.draw();
    byId("difference-name").textContent = changed().name;
    byId("only-this").textContent = `only under ${run.name}`;
    byId("only-other").textContent = `only under ${other.name}`;
    differenceTimeline.draw();
  }

  // What was measured along the condition's own answer: which sets of heads there are, and the chosen one's at this step.
  function drawEffect(run) {
    const {effect, step} = app.state, names = run.effects, select = byId("effect-set");
    byId("effect").hidden = !names.length;
    if (!names.length) return;
    if ([...select.options].map(option => option.value).join("\n") !== names.join("\n")) select.replaceChildren(...names.map(name => new Option(name, name)));
    select.value = names[effect];
    const known = Array.from({length: run.steps}, (_, place) => run.effect(effect, place)).filter(Number.isFinite);
    const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
    byId("effect-here").textContent = `step ${step}: ${natsText(run.effect(effect, step))}${known.length ? `; mean of ${known.length} step${known.length > 1 ? "s" : ""} ${mean.toFixed(3)}` : ""}`;
  }

  // The generated text of the condition, and of the one that it is compared with.
  function drawGenerated() {
    const run = app.run(), other = app.other();
    const key = `${app.state.condition} ${app.state.versus}`;
    if (key !== strips) {
      strips = key;
      byId("generated").replaceChildren(...strip(run, other));
      byId("other").replaceChildren(...(other ? strip(other, run) : []));
      byId("generated-name").textContent = run.name;
      byId("other-name").textContent = other?.name ?? "";
      byId("other-row").hidden = !other;
      byId("parting").textContent = parting(run, other);
    }
    for (const list of [byId("generated"), byId("other")]) {
      for (const token of list.children) {
        const now = Number(token.dataset.step) === app.state.step;
        token.classList.toggle("now", now);
        token.setAttribute("aria-selected", now);
        if (now) list.setAttribute("aria-activedescendant", token.id);
      }
    }
  }

  function strip(run, against) {
    const most = Math.max(1, ...Array.from({length: run.steps}, (_, step) => run.activeHeads(step).length));
    return run.labels.map((label, step) => {
      const n = run.activeHeads(step).length;
      const differs = against !== null && against.ids[step] !== run.ids[step];
      const token = make("span", {className: differs ? "step differs" : "step", id: `step-${data.conditions.indexOf(run)}-${step}`}, {
        role: "option", title: `step ${step}: ${label}\n${n} heads retrieve${differs ? "\ndiffers" : ""}`,
      });
      token.dataset.step = step;
      token.append(make("bdi", {textContent: label}));
      token.style.setProperty("--share", `${Math.round(100 * n / most)}%`);
      return token;
    });
  }

  function parting(run, other) {
    if (!other) return "";
    const steps = Math.max(run.steps, other.steps);
    for (let step = 0; step < steps; step++) {
      if (run.ids[step] !== other.ids[step]) return `They part at step ${step}: ${run.labels[step] === undefined ? "nothing" : quoted(run.labels[step])} against ${other.labels[step] === undefined ? "nothing" : quoted(other.labels[step])}.`;
    }
    return `The same ${run.steps} tokens.`;
  }

  function go(step, options) {
    app.set({step}, options);
    reveal();
    follow();
  }

  function reveal() {
    timeline.reveal();
    if (!app.other()) return;
    otherTimeline.reveal();
    differenceTimeline.reveal();
  }

  function follow() {
    const strongest = app.run().sources(app.state.step, app.state.head)[0];
    if (byId("follow").checked && strongest) context.show(strongest.position);
  }

  function play(on) {
    clearInterval(timer);
    timer = on ? setInterval(() => {
      if (app.state.step >= app.run().steps - 1) play(false);
      else go(app.state.step + 1, {remember: false});
    }, PLAY_EVERY) : null;
    byId("play").textContent = on ? "Pause" : "Play";
    byId("play").setAttribute("aria-pressed", on);
    if (on && app.state.step >= app.run().steps - 1) go(0, {remember: false});
  }

  function choices() {
    const names = data.conditions.map((each, index) => new Option(each.name, index));
    byId("condition").append(...names);
    byId("versus").append(new Option("nothing", -1), ...names.map(each => each.cloneNode(true)));
    byId("show").append(...Object.entries(FILTERS).map(([value, text]) => new Option(text, value)));
    byId("question").textContent = data.question;
    byId("answer").textContent = data.answer;
    byId("conditions").hidden = data.conditions.length < 2;
    byId("needle").disabled = !data.needle.length;
    if (data.needle.length > 1) byId("needle").textContent = `To the next of ${data.needle.length} needles`;
    byId("condition").addEventListener("change", event => { app.set({condition: Number(event.target.value)}); follow(); });
    byId("versus").addEventListener("change", event => app.set({versus: Number(event.target.value)}));
    byId("show").addEventListener("change", event => app.set({show: event.target.value}));
    byId("effect-set").addEventListener("change", event => app.set({effect: app.run().effects.indexOf(event.target.value)}));
    byId("heads").addEventListener("input", event => app.set({list: event.target.value}, {remember: false}));
    byId("play").addEventListener("click", () => play(timer === null));
    byId("back").addEventListener("click", () => go(app.state.step - 1));
    byId("forward").addEventListener("click", () => go(app.state.step + 1));
    let needle = 0;
    byId("needle").addEventListener("click", () => context.show(data.needle[needle++ % data.needle.length][0]));
    byId("strongest").addEventListener("click", () => {
      const strongest = app.run().sources(app.state.step, app.state.head)[0];
      if (strongest) context.show(strongest.position);
    });
    for (const list of [byId("generated"), byId("other")]) {
      list.addEventListener("click", event => {
        const token = event.target.closest("[data-step]");
        if (token) go(Number(token.dataset.step));
      });
    }
    byId("timeline").addEventListener("click", follow);
    byId("other-timeline").addEventListener("click", follow);
    byId("difference-timeline").addEventListener("click", follow);
  }

  // Letters and arrows, unless something that takes them itself has the focus.
  function keys(event) {
    const target = event.target, tag = target.tagName;
    if (event.ctrlKey || event.metaKey || event.altKey || ["INPUT", "SELECT", "TEXTAREA"].includes(tag)) return;
    const inside = id => byId(id).contains(target);
    const acts = {
      ArrowLeft: () => go(app.state.step - 1),
      ArrowRight: () => go(app.state.step + 1),
      Home: () => !inside("context") && go(0),
      End: () => !inside("context") && go(app.run().steps - 1),
      ArrowUp: () => inside("timeline") && (timeline.move(-1), follow()),
      ArrowDown: () => inside("timeline") && (timeline.move(1), follow()),
      PageUp: () => inside("timeline") && timeline.move(-10),
      PageDown: () => inside("timeline") && timeline.move(10),
      " ": () => tag !== "BUTTON" && !inside("context") && play(timer === null),
      n: () => byId("needle").click(),
      s: () => byId("strongest").click(),
      "/": () => byId("heads").focus(),
    };
    if (acts[event.key] && acts[event.key]() !== false) event.preventDefault();
  }

  choices();
  app.read();
  reveal();
  follow();
  addEventListener("keydown", keys);
  addEventListener("hashchange", () => { reveal(); follow(); });
  document.body.dataset.ready = Math.round(performance.now());
}

start().catch(error => {
  byId("failed").hidden = false;
  byId("failed").textContent = `This page could not be read: ${error.message}. It needs Chrome or Edge 111, Firefox 113, Safari 16.4, or later.`;
  throw error;
});
