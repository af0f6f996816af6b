// The context, token by token. It is laid out in chunks of plain text; a chunk becomes tokens when it comes into sight.

const CHUNK = 400;

function makeContext(data, app) {
  const pane = byId("context"), map = byId("map");
  let run = null, chunks = [], marked = [];

  const observer = new IntersectionObserver(
    entries => entries.filter(entry => entry.isIntersecting).forEach(entry => { fill(Number(entry.target.dataset.chunk)); mark(); }),
    {root: pane, rootMargin: "300px"},
  );

  function draw() {
    if (run !== app.run()) lay();
    mark();
    drawMap();
  }

  // A chunk for every stretch of tokens, the generated ones last.
  function lay() {
    run = app.run();
    observer.disconnect();
    const total = data.prompt.length + run.steps;
    chunks = [];
    for (let start = 0; start < total; start += CHUNK) {
      const end = Math.min(total, start + CHUNK);
      const element = make("div", {className: "chunk"});
      let text = "";
      for (let position = start; position < end; position++) text += textAt(data, run, position);
      element.textContent = text;
      element.dataset.chunk = chunks.length;
      chunks.push({start, end, element, filled: false});
    }
    pane.replaceChildren(...chunks.map(chunk => chunk.element));
    chunks.forEach(chunk => observer.observe(chunk.element));
  }

  function fill(index) {
    const chunk = chunks[index];
    if (chunk.filled) return;
    chunk.filled = true;
    observer.unobserve(chunk.element);
    const spans = [];
    for (let position = chunk.start; position < chunk.end; position++) {
      const span = make("span", {className: "token", textContent: textAt(data, run, position)});
      span.dataset.position = position;
      if (inNeedle(data, position)) span.classList.add("needle");
      if (position >= data.prompt.length) span.classList.add("generated");
      spans.push(span);
    }
    chunk.element.replaceChildren(...spans);
  }

  const span = position => {
    const chunk = chunks[Math.floor(position / CHUNK)];
    return chunk?.filled ? chunk.element.children[position - chunk.start] : null;
  };

  // Colours the chosen head's sources, the deeper the stronger.
  function mark() {
    for (const token of marked) {
      token.classList.remove("source", "strongest", "at");
      token.style.removeProperty("--weight");
      token.removeAttribute("title");
    }
    marked = [];
    const {step, head, at} = app.state;
    run.sources(step, head).forEach((source, rank) => {
      const token = span(source.position);
      if (!token) return;
      token.classList.add("source");
      if (rank === 0) token.classList.add("strongest");
      token.style.setProperty("--weight", `${Math.round(100 * Math.sqrt(source.weight))}%`);
      token.title = `position ${source.position}, weight ${weightText(source.weight)}`;
      marked.push(token);
    });
    const chosen = at >= 0 ? span(at) : null;
    if (chosen) { chosen.classList.add("at"); marked.push(chosen); }
    pane.querySelectorAll(".generated").forEach(token => token.classList.toggle("later", token.dataset.position - data.prompt.length >= step));
  }

  // Weights over the whole context: a bar a source, the needle below.
  function drawMap() {
    const ratio = devicePixelRatio || 1, width = map.clientWidth, height = map.clientHeight;
    if (!width) return;
    map.width = width * ratio;
    map.height = height * ratio;
    const pen = map.getContext("2d"), style = getComputedStyle(document.documentElement);
    const total = data.prompt.length + run.steps, x = position => (position + 0.5) / total * width;
    pen.scale(ratio, ratio);
    pen.fillStyle = style.getPropertyValue("--line");
    pen.fillRect(0, height - 7, width, 1);
    pen.fillStyle = style.getPropertyValue("--accent");
    for (const [first, last] of data.needle) pen.fillRect(x(first), height - 5, Math.max(4, x(last) - x(first)), 5);
    for (const source of run.sources(app.state.step, app.state.head)) {
      pen.fillStyle = style.getPropertyValue(inNeedle(data, source.position) ? "--accent" : "--series");
      const tall = Math.max(2, Math.sqrt(source.weight) * (height - 9));
      pen.fillRect(Math.round(x(source.position)) - 1, height - 8 - tall, 3, tall);
    }
  }

  // Scrolls the pane, never the page, until a position stands in its upper third.
  function show(position) {
    const index = Math.floor(position / CHUNK);
    if (!chunks[index]) return;
    for (const near of [index - 1, index, index + 1]) if (chunks[near]) fill(near);
    mark();
    const token = span(position);
    // Chunks out of sight have estimated heights: once they are laid out the token may have moved.
    for (let attempt = 0; attempt < 3; attempt++) pane.scrollTop += token.getBoundingClientRect().top - pane.getBoundingClientRect().top - pane.clientHeight / 3;
  }

  pane.addEventListener("click", event => {
    const {position} = event.target.dataset;
    if (position !== undefined) app.set({at: Number(position)});
  });
  map.addEventListener("click", event => {
    const box = map.getBoundingClientRect();
    show(Math.min(data.prompt.length + run.steps - 1, Math.floor((event.clientX - box.left) / box.width * (data.prompt.length + run.steps))));
  });
  addEventListener("resize", () => requestAnimationFrame(drawMap));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawMap);
  return {draw, show};
}
