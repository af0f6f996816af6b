// The list of samples. Only the rows in sight exist, so ten thousand samples cost no more than thirty.

const ROW = 30;
const WIDTHS = {number: 52, id: 110, seed: 72, right: 70, steps: 54, retrieving: 88, heads: 92, text: 220};

function makeList(data, app, filter, choose) {
  const pane = byId("list"), plane = byId("rows"), head = byId("columns");
  let rows = [], shown = null;

  const columns = () => [
    {name: "number", title: "#", text: trace => String(data.sample[trace])},
    ...filter.facts.map(({name, values}) => ({name, title: name, text: trace => String(values[data.sample[trace]] ?? "")})),
    {name: "right", title: "answer", text: trace => data.right[trace] ? "✓ right" : "✗ wrong"},
    {name: "steps", title: "steps", text: trace => String(data.steps[trace])},
    {name: "retrieving", title: "retrieving", text: trace => `${Math.round(100 * data.retrieving[trace] / data.steps[trace])} %`},
    {name: "heads", title: "heads/step", text: trace => decimal(data.perStep[trace], 1)},
    ...(app.state.head.trim() && !filter.wrong(app.state).length ? [{name: "head", title: `steps of ${app.state.head.trim()}`, text: trace => String(filter.often(trace, app.state))}] : []),
    {name: "text", title: "generated text", text: trace => data.text[trace].slice(0, 200)},
  ];

  function draw() {
    shown = columns();
    rows = filter.rows(app.state);
    const widths = shown.map(({name, title}) => WIDTHS[name] ?? Math.max(54, 18 + 7.5 * title.length));
    pane.style.setProperty("--columns", widths.map((width, index) => shown[index].name === "text" ? `minmax(${width}px, 1fr)` : `${width}px`).join(" "));
    pane.style.setProperty("--least", `${widths.reduce((sum, width) => sum + width + 6, 16)}px`);
    head.replaceChildren(...shown.map(({name, title}) => {
      const order = app.state.sort === name ? "ascending" : app.state.sort === `-${name}` ? "descending" : "none";
      const sign = {ascending: " ▲", descending: " ▼", none: ""}[order];
      const cell = make("div", {className: `cell c-${name}`}, {role: "columnheader", "aria-sort": order});
      const button = make("button", {type: "button", textContent: title + sign});
      button.dataset.sort = name;
      cell.append(button);
      return cell;
    }));
    plane.style.height = `${rows.length * ROW}px`;
    pane.setAttribute("aria-rowcount", rows.length);
    byId("found").textContent = `${whole(rows.length)} of ${whole(data.nSamples)} samples`;
    const wrong = filter.wrong(app.state);
    byId("wrong").textContent = wrong.length ? `no head of this model: ${wrong.join(", ")}` : "";
    drawWindow();
  }

  function drawWindow() {
    if (!shown) return;
    const first = Math.max(0, Math.floor(pane.scrollTop / ROW) - 6);
    const last = Math.min(rows.length, Math.ceil((pane.scrollTop + pane.clientHeight) / ROW) + 6);
    const drawn = [];
    for (let place = first; place < last; place++) drawn.push(drawRow(place));
    plane.replaceChildren(...drawn);
    const chosen = plane.querySelector(".row.chosen");
    if (chosen) pane.setAttribute("aria-activedescendant", chosen.id);
    else pane.removeAttribute("aria-activedescendant");
  }

  function drawRow(place) {
    const trace = rows[place], key = data.key[data.sample[trace]], now = key === app.state.sample;
    const row = make("div", {className: now ? "row chosen" : "row", id: `row-${place}`}, {role: "row", "aria-rowindex": place + 1, "aria-selected": now});
    row.style.top = `${place * ROW}px`;
    row.dataset.place = place;
    for (const {name, text} of shown) {
      const cell = make("div", {className: `cell c-${name}`, textContent: text(trace)}, {role: "gridcell"});
      if (name === "right") cell.classList.add(data.right[trace] ? "yes" : "no");
      row.append(cell);
    }
    return row;
  }

  const placeOf = () => rows.findIndex(trace => data.key[data.sample[trace]] === app.state.sample);

  function reveal() {
    const top = placeOf() * ROW, room = pane.clientHeight - head.offsetHeight;
    if (top < 0) return;
    if (top < pane.scrollTop) pane.scrollTop = top;
    else if (top + ROW > pane.scrollTop + room) pane.scrollTop = top + ROW - room;
    drawWindow();
  }

  // The sample so many rows further; the first where the chosen one is not listed.
  function move(by) {
    if (!rows.length) return;
    const place = placeOf(), next = place < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, place + by));
    app.set({sample: data.key[data.sample[rows[next]]]}, {remember: false});
    reveal();
  }

  pane.addEventListener("scroll", () => requestAnimationFrame(drawWindow), {passive: true});
  addEventListener("resize", () => requestAnimationFrame(drawWindow));
  head.addEventListener("click", event => {
    const name = event.target.dataset.sort;
    if (name) app.set({sort: app.state.sort === name ? `-${name}` : app.state.sort === `-${name}` ? "" : name});
  });
  plane.addEventListener("click", event => {
    const row = event.target.closest(".row");
    if (row) app.set({sample: data.key[data.sample[rows[row.dataset.place]]]});
  });
  plane.addEventListener("dblclick", () => choose());
  return {draw, move, reveal, rows: () => rows};
}
