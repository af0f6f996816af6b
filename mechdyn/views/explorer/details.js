// What the chosen head looked at, which heads retrieve at the chosen step, and which look at a chosen position.

const AROUND = 7, MOST_HEADS = 60;

function makeDetails(data, app, show) {
  function draw() {
    const {step, head} = app.state, run = app.run(), other = app.other();
    byId("chosen").textContent = `${headName(data, head)} at step ${step}, generating ${quoted(run.labels[step])}`;
    byId("sources").replaceChildren(...sourceList(run, step, head));
    byId("compared").hidden = !other;
    if (other) {
      const there = step < other.steps;
      byId("compared-title").textContent = there ? `Under ${other.name}, generating ${quoted(other.labels[step])}` : `${other.name} ended before this step`;
      byId("compared-sources").replaceChildren(...(there ? sourceList(other, step, head) : []));
    }
    drawHeads(run, step);
    drawLooks(run, step);
  }

  function sourceList(run, step, head) {
    if (!run.ranks) return [make("p", {className: "note", textContent: `Sources of this run were not captured.${data.again ? ` ${data.again} makes them, with the model.` : ""}`})];
    const found = run.sources(step, head), held = found.reduce((sum, source) => sum + source.weight, 0);
    const keys = data.prompt.length + step;
    const line = `score ${Number(run.score(step, head).toFixed(3))}; ${found.length} of ${keys.toLocaleString("en")} positions hold ${Math.round(100 * held)} % of its attention`;
    const list = make("ol", {className: "sources"});
    found.forEach((source, rank) => list.append(sourceItem(run, step, head, source, rank)));
    return [make("p", {className: "note", textContent: run.off(step, head) ? `${line}. It is switched off at this step; shown is what it looked at before.` : line}), list];
  }

  function sourceItem(run, step, head, source, rank) {
    const needle = inNeedle(data, source.position);
    const button = make("button", {type: "button", className: needle ? "source needle" : "source"});
    button.dataset.position = source.position;
    const bar = make("span", {className: "bar"}, {"aria-hidden": "true"});
    bar.style.width = `${100 * source.weight}%`;
    const text = make("span", {className: "snippet"});
    const words = (from, to) => {
      let joined = "";
      for (let position = Math.max(0, from); position < Math.min(to, data.prompt.length + step); position++) joined += textAt(data, run, position);
      return joined.replaceAll("\n", "");
    };
    text.append(
      beside("before", cut(words(source.position - AROUND, source.position), -28)),
      make("mark", {className: needle ? "needle" : "", textContent: cut(textAt(data, run, source.position).replaceAll("\n", ""), 40)}),
      beside("after", cut(words(source.position + 1, source.position + 1 + AROUND), 28)),
    );
    button.append(
      bar,
      make("span", {className: "weight", textContent: weightText(source.weight)}),
      make("span", {className: "position", textContent: source.position.toLocaleString("en")}),
      text,
    );
    button.append(badge(run, step, head, source, rank, needle));
    button.addEventListener("click", () => { app.set({at: source.position}); show(source.position); });
    const item = make("li");
    item.append(button);
    return item;
  }

  function badge(run, step, head, source, rank, needle) {
    if (rank === 0 && copies(data, run, step, head, source)) {
      return make("span", {className: "badge", textContent: "copied", title: "Eq. 1: the strongest source is a needle token equal to the generated one"});
    }
    if (rank === 0 && wouldCopy(data, run, step, head, source)) {
      return make("span", {
        className: "badge plain", textContent: "not kept", title: "Eq. 1 held before heads were switched off; without them another token was generated",
      });
    }
    return make("span", {className: needle ? "badge plain" : "badge", textContent: needle ? "needle" : ""});
  }

  function drawHeads(run, step) {
    const active = run.activeHeads(step), off = run.offHeads(step);
    const word = n => n === 1 ? "1 head" : `${n} heads`;
    byId("active-title").textContent = `${word(active.length)} of ${data.total} ${active.length === 1 ? "retrieves" : "retrieve"} at step ${step}`
      + (run.ablated ? `, ${off.length} switched off` : "");
    const all = [...new Set([...active, ...off])].sort((one, other) => one - other);
    byId("active").replaceChildren(...chips(all, head => ({off: run.off(step, head), active: run.active(step, head)}), all.length));
  }

  function drawLooks(run, step) {
    const {at} = app.state;
    byId("looks").hidden = at < 0;
    if (at < 0) return;
    const looks = run.lookingAt(step, at);
    byId("looks-title").textContent = `${looks.length} of ${data.total} heads have position ${at.toLocaleString("en")} (${cut(textAt(data, run, at).trim(), 24)}) among their sources at step ${step}`;
    byId("looking").replaceChildren(...chips(looks.map(look => look.head), head => ({
      off: run.off(step, head), active: run.active(step, head), note: weightText(looks.find(look => look.head === head).weight),
    }), looks.length));
  }

  // Buttons that choose a head; a head that is switched off is crossed out.
  function chips(heads, facts, total) {
    const made = heads.slice(0, MOST_HEADS).map(head => {
      const {off, active, note} = facts(head);
      const name = headName(data, head);
      const chip = make("button", {type: "button", className: `chip${off ? " off" : ""}${active ? " active" : ""}`}, {
        "aria-pressed": head === app.state.head, "aria-label": `${name}${off ? ", switched off" : ""}${active ? ", retrieves" : ""}`,
      });
      chip.append(make(off ? "s" : "span", {textContent: name}));
      if (note) chip.append(make("small", {textContent: ` ${note}`}));
      chip.addEventListener("click", () => app.set({head}));
      return chip;
    });
    if (total > MOST_HEADS) made.push(make("span", {className: "note", textContent: `and ${total - MOST_HEADS} more`}));
    return made;
  }

  return {draw};
}

const quoted = label => `“${label}”`;
const weightText = weight => weight < 0.001 ? "<.001" : weight.toFixed(3);

function beside(className, text) {
  const side = make("span", {className});
  side.append(make("bdi", {textContent: text}));
  return side;
}

// At most `limit` characters, of the end where it is negative; halves of characters stay together.
function cut(text, limit) {
  const characters = [...text];
  if (characters.length <= Math.abs(limit)) return text;
  return limit < 0 ? `…${characters.slice(limit + 1).join("")}` : `${characters.slice(0, limit - 1).join("")}…`;
}
