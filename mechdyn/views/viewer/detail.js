// The chosen sample beside the list: what was asked, and what came of it under each condition.

function makeDetail(data, app) {
  const pane = byId("detail");

  function draw() {
    const sample = data.sampleOf(app.state.sample);
    if (sample < 0) {
      pane.replaceChildren(note("Choose a sample: a click, or j and k. Enter opens its explorer."));
      return;
    }
    const facts = data.facts.map(({name, values}) => values[sample] === null ? "" : `${name} ${values[sample]}`).filter(Boolean);
    const asked = make("dl");
    const said = (name, text) => asked.append(make("dt", {textContent: name}), make("dd", {textContent: text}));
    said("asked", data.question[sample]);
    said("expected", data.answer[sample]);
    const own = data.tracesOf(sample);
    const shown = data.condition[own.find(trace => data.condition[trace] === app.state.condition) ?? own[0]];
    const open = link("Open the explorer", explorerLink(data, sample, {condition: shown}));
    open.id = "open";
    pane.replaceChildren(title(2, `Sample ${sample}`), note([...facts, data.key[sample]].join(", ")), asked, open, title(3, `Under ${own.length} condition${own.length > 1 ? "s" : ""}`));
    for (const trace of own) pane.append(answer(sample, trace, shown));
  }

  function answer(sample, trace, shown) {
    const condition = data.condition[trace], right = data.right[trace] === 1;
    const element = make("div", {className: condition === shown ? "answer shown" : "answer"});
    const line = make("p", {className: "line"});
    line.append(make("span", {className: right ? "yes" : "no", textContent: right ? "✓ right" : "✗ wrong"}), " ");
    line.append(link(data.conditions[condition], explorerLink(data, sample, {condition})));
    if (condition !== shown) line.append(" ", link("compare", explorerLink(data, sample, {condition: shown, versus: condition})));
    line.append(make("span", {className: "muted", textContent: ` ${whole(data.steps[trace])} steps, ${decimal(data.perStep[trace], 1)} heads a step`}));
    element.append(line, make("p", {className: "text", textContent: data.text[trace]}));
    return element;
  }

  return {draw};
}
