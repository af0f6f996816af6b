// What is shown, and its link: the URL's fragment holds the page, the filters, the order and what is chosen.

const PAGES = ["samples", "heads", "compare", "results"];
const ANSWERS = {
  "": "any answer", right: "right", wrong: "wrong", broken: "wrong here, right under the first condition", mended: "right here, wrong under the first condition",
};

function makeState(data, changed) {
  const plain = {page: "samples", condition: 0, versus: Math.min(1, data.conditions.length - 1), answers: "", text: "", head: "", sort: "", sample: "", at: ""};
  const state = {...plain, facts: {}};
  let written = null;

  function set(changes, {remember = true} = {}) {
    Object.assign(state, changes);
    const address = write();
    if (address !== written) {
      written = address;
      if (remember) location.hash = address;
      else history.replaceState(null, "", `#${address}`);
    }
    changed();
  }

  function write() {
    const parts = new URLSearchParams();
    for (const name of Object.keys(plain)) {
      if (state[name] === plain[name]) continue;
      parts.set(name, name === "condition" || name === "versus" ? data.conditions[state[name]] : state[name]);
    }
    for (const [name, value] of Object.entries(state.facts)) if (value !== "") parts.set(`is.${name}`, value);
    return parts.toString();
  }

  function read() {
    if (location.hash.slice(1) === written) return;
    const parts = new URLSearchParams(location.hash.slice(1));
    Object.assign(state, plain, {facts: {}});
    for (const name of Object.keys(plain)) if (parts.has(name)) state[name] = parts.get(name);
    for (const name of ["condition", "versus"]) {
      const found = parts.has(name) ? data.conditions.indexOf(parts.get(name)) : plain[name];
      state[name] = Math.max(0, found);
    }
    if (!PAGES.includes(state.page)) state.page = "samples";
    if (!(state.answers in ANSWERS)) state.answers = "";
    for (const {name} of data.facts) if (parts.has(`is.${name}`)) state.facts[name] = parts.get(`is.${name}`);
    written = write();
    changed();
  }

  addEventListener("hashchange", read);
  return {state, set, read};
}
