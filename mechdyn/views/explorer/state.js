// What is shown, and its link: the URL's fragment holds condition, comparison, step, head, filter and position.

const SHOWN = 20;
const FILTERS = {
  varying: `steady heads, then ${SHOWN} most varying`,
  top: `${SHOWN} highest mean scores`,
  now: "retrieving at this step",
  ever: "retrieving at some step",
  all: "all heads",
};

function makeState(data, changed) {
  const state = {condition: 0, versus: -1, step: 0, head: 0, show: "varying", list: "", at: -1, effect: 0};
  let written = null;

  const run = () => data.conditions[state.condition];
  const other = () => data.conditions[state.versus] ?? null;

  function set(changes, {remember = true} = {}) {
    Object.assign(state, changes);
    settle();
    const link = write();
    if (link !== written) {
      written = link;
      // A play through the steps is one entry of the history, not forty.
      if (remember) location.hash = link;
      else history.replaceState(null, "", `#${link}`);
    }
    changed();
  }

  function settle() {
    const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
    state.condition = clamp(state.condition, 0, data.conditions.length - 1);
    if (state.versus === state.condition) state.versus = -1;
    state.step = clamp(state.step, 0, run().steps - 1);
    state.head = clamp(state.head, 0, data.total - 1);
    if (!(state.show in FILTERS)) state.show = "varying";
    state.effect = clamp(state.effect, 0, Math.max(0, run().effects.length - 1));
    if (state.at >= data.prompt.length + run().steps) state.at = -1;
  }

  function write() {
    const parts = new URLSearchParams({condition: run().name, step: state.step, head: headName(data, state.head), show: state.show});
    if (other()) parts.set("versus", other().name);
    if (state.list) parts.set("heads", state.list);
    if (state.at >= 0) parts.set("at", state.at);
    if (state.effect > 0) parts.set("effect", run().effects[state.effect]);
    return parts.toString();
  }

  function read() {
    if (location.hash.slice(1) === written) return;
    const parts = new URLSearchParams(location.hash.slice(1));
    const named = name => data.conditions.findIndex(each => each.name === parts.get(name));
    const number = (name, missing) => /^\d+$/.test(parts.get(name) ?? "") ? Number(parts.get(name)) : missing;
    state.condition = Math.max(0, named("condition"));
    Object.assign(state, {
      versus: named("versus"),
      step: number("step", firstStep()),
      head: parseHeads(data, parts.get("head") ?? "").heads[0] ?? -1,
      show: parts.get("show") ?? "varying",
      list: parts.get("heads") ?? "",
      at: number("at", -1),
    });
    state.effect = Math.max(0, run().effects.indexOf(parts.get("effect")));
    if (state.head < 0) state.head = firstHead();
    settle();
    written = write();
    changed();
  }

  // Where there is something to see: the strongest retrieval of the run, or of one step. Strong is a head whose first source has much weight
  // or, without sources, a high score; among equals the earliest step, there the head that retrieves most often.
  function strongest(steps) {
    let best = null;
    for (const step of steps) {
      for (const head of run().activeHeads(step)) {
        const weight = run().sources(step, head)[0]?.weight ?? run().score(step, head);
        if (best === null || weight > best.weight || (weight === best.weight && step === best.step && run().often(head) > run().often(best.head))) {
          best = {step, head, weight};
        }
      }
    }
    return best;
  }
  const firstStep = () => strongest(Array.from({length: run().steps}, (_, step) => step))?.step ?? 0;
  const firstHead = () => strongest([Math.min(state.step, run().steps - 1)])?.head ?? run().varying[0];

  // Heads of the timeline from top to bottom, and the words of the filter that name none.
  function heads() {
    if (state.list.trim()) return parseHeads(data, state.list);
    const chosen = {
      varying: () => [...run().varying.slice(0, run().steady + SHOWN)],
      top: () => [...run().top.slice(0, SHOWN)],
      now: () => run().activeHeads(state.step),
      ever: () => run().everActive(),
      all: () => Array.from({length: data.total}, (_, head) => head),
    };
    return {heads: chosen[state.show](), wrong: []};
  }

  addEventListener("hashchange", read);
  return {state, run, other, set, read, heads};
}
