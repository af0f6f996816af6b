// Heads x steps, and where it was measured what a set of heads does at each step. Only the cells in sight exist, so a thousand heads cost no more than twenty.

const CELL = 18, NAME = 62, LETTER = 6.7, MOST_LETTERS = 12, BARS = 44;

// `shown` gives the condition that a grid draws; the one of the comparison stands below the first, with the same heads.
function makeTimeline(data, app, grid, shown, prefix) {
  const plane = grid.firstElementChild;
  let heads = [], above = 0;

  function draw() {
    const found = app.heads(), run = shown(), {step, head} = app.state;
    above = (hasBars(run) ? BARS : 0) + 12 + LETTER * Math.min(MOST_LETTERS, Math.max(...run.labels.map(label => [...label].length)));
    heads = found.heads;
    plane.style.width = `${NAME + run.steps * CELL + 4}px`;
    plane.style.height = `${above + heads.length * CELL + 4}px`;
    grid.setAttribute("aria-rowcount", heads.length);
    grid.setAttribute("aria-colcount", run.steps);
    grid.setAttribute("aria-label", `Retrieval scores of ${run.name}, heads by steps. ${about(head, step)}`);
    drawWindow();
  }

  // The rows and columns in sight, and some beyond.
  function drawWindow() {
    const run = shown(), {step} = app.state;
    if (!run) return;
    const range = (offset, size, count) => [
      Math.max(0, Math.floor(offset / CELL) - 4), Math.min(count, Math.ceil((offset + size) / CELL) + 4),
    ];
    const [top, bottom] = range(grid.scrollTop, grid.clientHeight, heads.length);
    const [left, right] = range(grid.scrollLeft, grid.clientWidth, run.steps);
    const names = make("div", {className: "names", role: "presentation"});
    names.style.height = `${above}px`;
    for (let column = left; column < right; column++) {
      const label = make("span", {className: column === step ? "name now" : "name", textContent: run.labels[column], title: run.labels[column]});
      label.style.left = `${NAME + column * CELL}px`;
      label.style.bottom = `${2 + (hasBars(run) ? BARS : 0)}px`;
      label.style.maxHeight = `${above - 4 - (hasBars(run) ? BARS : 0)}px`;
      label.dataset.step = column;
      names.append(label);
    }
    if (hasBars(run)) names.append(...drawBars(run, left, right));
    const rows = [];
    for (let row = top; row < bottom; row++) rows.push(drawRow(row, left, right));
    plane.replaceChildren(names, ...rows);
    const chosen = plane.querySelector(".cell.chosen");
    if (chosen) grid.setAttribute("aria-activedescendant", chosen.id);
    else grid.removeAttribute("aria-activedescendant");
  }

  // Differences of two conditions have no effects of their own.
  const hasBars = run => (run.effects ?? []).length > 0;

  // A bar a step, up where the heads made the token likelier and down where less so; the line is 0.
  function drawBars(run, left, right) {
    const {effect, step} = app.state, all = Array.from({length: run.steps}, (_, column) => run.effect(effect, column)).filter(Number.isFinite);
    const high = Math.max(0, ...all), low = Math.min(0, ...all), scale = (BARS - 6) / Math.max(1e-6, high - low);
    const line = make("i", {className: "zero"});
    line.style.bottom = `${3 - low * scale}px`;
    line.style.left = `${NAME}px`;
    line.style.width = `${run.steps * CELL}px`;
    const drawn = [line, make("span", {className: "head", textContent: "nats"})];
    for (let column = left; column < right; column++) {
      const value = run.effect(effect, column);
      if (!Number.isFinite(value)) continue;
      const height = Math.max(1, Math.abs(value) * scale);
      const bar = make("span", {className: `taken${value < 0 ? " less" : ""}${column === step ? " now" : ""}`, title: `step ${column}: ${natsText(value)}`});
      bar.style.left = `${NAME + column * CELL}px`;
      bar.style.height = `${height}px`;
      bar.style.bottom = `${3 - low * scale - (value < 0 ? height : 0)}px`;
      bar.dataset.step = column;
      drawn.push(bar);
    }
    return drawn;
  }

  function drawRow(row, left, right) {
    const head = heads[row], run = shown(), {step} = app.state;
    const element = make("div", {className: "row"}, {role: "row", "aria-rowindex": row + 1});
    element.style.top = `${above + row * CELL}px`;
    const name = make("span", {className: head === app.state.head ? "head now" : "head", textContent: headName(data, head)}, {role: "rowheader"});
    name.dataset.head = head;
    element.append(name);
    for (let column = left; column < right; column++) {
      const cell = make("span", {className: "cell", id: `${prefix}-${head}-${column}`}, {
        role: "gridcell", "aria-colindex": column + 1, "aria-label": about(head, column),
        "aria-selected": head === app.state.head && column === step,
      });
      cell.style.left = `${NAME + column * CELL}px`;
      cell.style.background = color(run, run.score(column, head));
      cell.dataset.head = head;
      cell.dataset.step = column;
      if (run.active(column, head)) cell.classList.add("active");
      if (run.off(column, head)) cell.classList.add("off");
      if (column === step) cell.classList.add("now");
      if (column === step && head === app.state.head) cell.classList.add("chosen");
      element.append(cell);
    }
    return element;
  }

  function about(head, step) {
    const run = shown();
    if (step >= run.steps) return `${run.name} ended before step ${step}`;
    if (run.change) return `${headName(data, head)}, step ${step}: ${run.change(step, head) ? `retrieves only under ${run.only(run.change(step, head))}` : "the same"}`;
    const score = run.score(step, head);
    const retrieves = run.active(step, head) ? "retrieves" : "does not retrieve";
    return `${headName(data, head)}, step ${step}: ${retrieves}, score ${Number(score.toFixed(3))}${run.off(step, head) ? ", switched off" : ""}`;
  }

  // Brings the chosen cell into sight.
  function reveal() {
    const row = heads.indexOf(app.state.head);
    const fit = (offset, size, start, end) => start < offset ? start : end > offset + size ? end - size : offset;
    const x = app.state.step * CELL;
    grid.scrollLeft = fit(grid.scrollLeft, grid.clientWidth - NAME, x, x + 2 * CELL);
    if (row >= 0) grid.scrollTop = fit(grid.scrollTop, grid.clientHeight - above, row * CELL, row * CELL + 2 * CELL);
    drawWindow();
  }

  // The head `by` rows further, from the top where the chosen one is not shown.
  function move(by) {
    if (!heads.length) return;
    const row = heads.indexOf(app.state.head);
    app.set({head: heads[row < 0 ? 0 : Math.min(heads.length - 1, Math.max(0, row + by))]});
    reveal();
  }

  grid.addEventListener("scroll", () => requestAnimationFrame(drawWindow), {passive: true});
  addEventListener("resize", () => requestAnimationFrame(drawWindow));
  plane.addEventListener("click", event => {
    const {head, step} = event.target.dataset;
    if (head !== undefined || step !== undefined) {
      app.set({...(head !== undefined && {head: Number(head)}), ...(step !== undefined && {step: Number(step)})});
    }
  });
  return {draw, reveal, move, about};
}

const natsText = value => Number.isFinite(value) ? `${value.toFixed(3)} nats` : "the set has no head at this step";

// Grey up to the threshold of a continuous score, coloured above it; a binary score is one of two colours.
function color(run, score) {
  if (!Number.isFinite(score)) return "transparent";
  if (run.change) return score > 0 ? "var(--accent)" : score < 0 ? "var(--series)" : "var(--scale-0)";
  if (run.binary) return score > run.threshold ? "var(--scale-3)" : "var(--scale-0)";
  if (score <= run.threshold) return mix("var(--below-0)", "var(--below-1)", run.threshold > 0 ? score / run.threshold : 0);
  const place = Math.min(1, Math.max(0, (score - run.threshold) / Math.max(1e-9, 1 - run.threshold))) * 3;
  const stop = Math.min(2, Math.floor(place));
  return mix(`var(--scale-${stop + 1})`, `var(--scale-${stop + 2})`, place - stop);
}

const mix = (from, to, share) => `color-mix(in srgb, ${to} ${Math.round(100 * Math.min(1, Math.max(0, share)))}%, ${from})`;
