// Layers x heads as a grid of cells, which says what the one under the pointer or the focus is.

// `cells` gives for a flat head its colour and its words; `choose` is called with the head that was clicked.
function headGrid(data, name, cells, choose) {
  const frame = make("figure", {className: "heads"});
  const grid = make("div", {className: "grid"}, {role: "group", "aria-label": `${name}: layers from top to bottom, heads from left to right`});
  const said = make("figcaption");
  const rest = `${name}. A row a layer, a column a head; point at a cell.`;
  said.textContent = rest;
  grid.style.setProperty("--heads", data.heads);
  for (let head = 0; head < data.total; head++) {
    const {color, words} = cells(head);
    const cell = make("button", {type: "button", tabIndex: head === 0 ? 0 : -1}, {"aria-label": `${headName(data, head)}: ${words}`});
    cell.dataset.head = head;
    cell.style.background = color;
    grid.append(cell);
  }
  const tell = event => {
    const cell = event.target.closest("button");
    said.textContent = cell ? cell.getAttribute("aria-label") : rest;
  };
  grid.addEventListener("pointerover", tell);
  grid.addEventListener("focusin", tell);
  grid.addEventListener("pointerleave", () => { said.textContent = rest; });
  grid.addEventListener("click", event => {
    const cell = event.target.closest("button");
    if (cell) choose(Number(cell.dataset.head));
  });
  grid.addEventListener("keydown", event => {
    const by = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -data.heads, ArrowDown: data.heads}[event.key];
    const next = by && grid.children[Number(event.target.dataset.head) + by];
    if (!next) return;
    event.preventDefault();
    event.stopPropagation();
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
  frame.append(grid, said);
  return frame;
}

const mix = (from, to, share) => `color-mix(in srgb, ${to} ${Math.round(100 * Math.min(1, Math.max(0, share)))}%, ${from})`;

// A share from 0 to `most`, along the scale of the figures.
function shade(share, most) {
  if (!Number.isFinite(share)) return "transparent";
  const place = most > 0 ? share / most * 4 : 0, stop = Math.min(3, Math.floor(place));
  return mix(`var(--scale-${stop})`, `var(--scale-${stop + 1})`, place - stop);
}

// A difference from -most to most: what the other has less in one colour, what it has more in another.
const shadeDifference = (value, most) => Number.isFinite(value) ? mix("var(--background)", value > 0 ? "var(--accent)" : "var(--series)", most > 0 ? Math.abs(value) / most : 0) : "transparent";

function scaleKey(words, colors) {
  const key = make("p", {className: "note key"});
  const strip = make("span", {className: "strip"}, {"aria-hidden": "true"});
  strip.style.background = `linear-gradient(to right, ${colors.join(", ")})`;
  key.append(make("span", {textContent: words[0]}), strip, make("span", {textContent: words[1]}));
  return key;
}
const SCALE = [0, 1, 2, 3, 4].map(index => `var(--scale-${index})`);
