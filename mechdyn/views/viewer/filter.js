// Which traces of a condition are listed, and in what order.

const MOST_CHOICES = 40, RANGES = 10;

// The values of a fact to choose from; of many numbers, ranges.
function choicesOf({values}) {
  const known = [...new Set(values.filter(value => value !== null))];
  const numbers = known.every(value => typeof value === "number");
  known.sort(numbers ? (one, other) => one - other : undefined);
  if (known.length <= MOST_CHOICES) return known.map(value => ({name: String(value), test: other => other === value}));
  if (!numbers) return null;
  const bounds = Array.from({length: RANGES + 1}, (_, index) => known[Math.round(index / RANGES * (known.length - 1))]);
  return bounds.slice(1).map((high, index) => {
    const low = bounds[index];
    return {name: `${low} to ${high}`, test: value => value !== null && value >= low && (index === RANGES - 1 ? value <= high : value < high)};
  });
}

function makeFilter(data) {
  const facts = data.facts.map(fact => ({...fact, choices: choicesOf(fact)}));
  const lower = new Array(data.text.length);
  let counts = null;

  // Everything that the text filter looks through, made when it is first asked for.
  const words = trace => lower[trace] ??= `${data.key[data.sample[trace]]}\n${data.question[data.sample[trace]]}\n${data.answer[data.sample[trace]]}\n${data.text[trace]}`.toLowerCase();

  // At how many steps any of some heads retrieves most.
  const countOf = (trace, head) => counts ? counts[trace * data.total + head] : 0;

  // Each word is a head or a layer; all of the words have to retrieve at some step.
  function wordsOfHeads(text) {
    const groups = [], wrong = [];
    for (const word of text.split(/[\s,;]+/).filter(Boolean)) {
      const found = parseHeads(data, word);
      if (found.wrong.length) wrong.push(word);
      else groups.push(found.heads);
    }
    return {groups, wrong};
  }

  function tests(state) {
    const found = [];
    const first = trace => data.traceOf(data.sample[trace], 0);
    const right = trace => data.right[trace] === 1;
    if (state.answers === "right") found.push(right);
    if (state.answers === "wrong") found.push(trace => !right(trace));
    if (state.answers === "broken") found.push(trace => !right(trace) && first(trace) >= 0 && right(first(trace)));
    if (state.answers === "mended") found.push(trace => right(trace) && first(trace) >= 0 && !right(first(trace)));
    for (const {name, values, choices} of facts) {
      const wanted = state.facts[name];
      if (wanted === undefined || wanted === "" || !choices) continue;
      const choice = choices.find(each => each.name === wanted);
      found.push(choice ? trace => choice.test(values[data.sample[trace]]) : () => false);
    }
    const text = state.text.trim().toLowerCase();
    if (text) found.push(trace => words(trace).includes(text));
    for (const heads of wordsOfHeads(state.head).groups) found.push(trace => heads.some(head => countOf(trace, head) > 0));
    return found;
  }

  // What each column sorts by.
  function sorters(state) {
    const {groups} = wordsOfHeads(state.head);
    return {
      ...Object.fromEntries(facts.map(({name, values}) => [name, trace => values[data.sample[trace]]])),
      number: trace => data.sample[trace], right: trace => data.right[trace], steps: trace => data.steps[trace],
      retrieving: trace => data.retrieving[trace] / data.steps[trace], heads: trace => data.perStep[trace], text: trace => data.text[trace],
      ...(groups.length ? {head: trace => often(trace, groups)} : {}),
    };
  }

  const often = (trace, groups) => groups.reduce((sum, heads) => sum + heads.reduce((most, head) => Math.max(most, countOf(trace, head)), 0), 0);

  function rows(state) {
    const asked = tests(state), found = [];
    for (let sample = 0; sample < data.nSamples; sample++) {
      const trace = data.traceOf(sample, state.condition);
      if (trace >= 0 && asked.every(test => test(trace))) found.push(trace);
    }
    const down = state.sort.startsWith("-"), key = sorters(state)[state.sort.replace("-", "")];
    if (!key) return found;
    const keyed = found.map(trace => ({trace, key: key(trace)}));
    keyed.sort((one, other) => (down ? -1 : 1) * compared(one.key, other.key) || one.trace - other.trace);
    return keyed.map(each => each.trace);
  }

  return {
    facts, rows, sorters, wrong: state => wordsOfHeads(state.head).wrong, often: (trace, state) => often(trace, wordsOfHeads(state.head).groups),
    takeCounts: found => { counts = found; }, ready: () => counts !== null, countOf,
  };
}

// Missing values last, numbers before texts.
function compared(one, other) {
  if (one === other) return 0;
  if (one === null) return 1;
  if (other === null) return -1;
  return one < other ? -1 : 1;
}
