// A head's own page: its ranks, how often, where and on what it retrieves, what went with switching it off, where it is strongest.

const EXAMPLES = 8;

function drawHead(data, heads, app, filter, head) {
  const page = make("div"), name = headName(data, head), reference = heads.conditions[0];
  const near = other => link(headName(data, other), `#${new URLSearchParams({page: "heads", at: headName(data, other)})}`);
  const way = make("p", {className: "way"});
  way.append(link("← all heads", "#page=heads"), ...(head > 0 ? [near(head - 1)] : []), ...(head < data.total - 1 ? [near(head + 1)] : []));
  way.append(link(`samples in which ${name} retrieves`, `#${new URLSearchParams({head: name, sort: "-head"})}`));
  page.append(way, title(2, name));
  const ranks = table(["list", "rank", "of", "score", "goes by"], heads.lists.map(list => {
    const rank = heads.ranks.get(list.name).get(head), score = rank === undefined ? null : list.scores[rank];
    return [list.name, rank === undefined ? "not named" : tied(list, rank), list.heads.length, score === null ? "–" : String(Number(score.toPrecision(6))), list.statistic === list.name ? "" : list.statistic];
  }));
  const pairs = heads.pairs.filter(pair => pair.first === name || pair.second === name).sort((one, other) => other.estimate - one.estimate);
  page.append(block(title(3, "Ranks"), ranks), blocks(
    block(title(3, "How often it retrieves"), heads.shares.map((shares, index) => bar(heads.at(shares, head), heads.conditions[index]))),
    heads.places && block(title(3, `Where in the needle, ${reference}`), note("Of the steps that generate a token of each tenth of the needle."), heads.places.map((shares, index) => bar(heads.at(shares, head), `tenth ${index + 1}, ${whole(shares.n)} steps`))),
    block(title(3, `On which kinds of token, ${reference}`), heads.kindShares.flatMap((shares, index) => shares.n ? [bar(heads.at(shares, head), `${heads.kinds[index]}, ${whole(shares.n)} steps`)] : [])),
    pairs.length && block(title(3, `With which others, ${reference}`), table(["head", "Jaccard", "by chance"], pairs.map(pair => [pair.first === name ? pair.second : pair.first, between(pair), decimal(pair.chance)]))),
  ));
  page.append(title(3, "What went with switching it off"), ...off(heads.off[head]));
  const strongest = make("div", {id: "strongest"});
  page.append(title(3, "Where it is strongest"), strongest);
  examples(data, filter, head, app.state.condition).then(found => strongest.replaceChildren(...found), error => strongest.replaceChildren(note(error.message)));
  return page;
}

// Heads of one score share their ranks.
function tied(list, rank) {
  const score = list.scores[rank];
  if (score === null) return String(rank + 1);
  const first = list.scores.indexOf(score), last = list.scores.lastIndexOf(score);
  return first === last ? String(rank + 1) : `${first + 1} to ${last + 1}`;
}

function off(rows) {
  if (!rows) return [note("No condition of the run has it off in two samples or more.")];
  return [
    note("The samples of each condition in which it was off at some step, against the same samples without ablation. Other heads were off as well, so the difference is the work of all of them."),
    table(["condition", "n", "others off at its steps", "right without", "right with it off", "difference"], rows.map(row => [row.condition, row.n, decimal(row.others, 1), between(row.clean), between(row.off), between(row.difference)])),
  ];
}

// The samples in which it retrieves at most steps, their tokens shaded by its score.
async function examples(data, filter, head, condition) {
  if (!filter.ready()) return [note("reading the counts …")];
  const traces = [];
  for (let sample = 0; sample < data.nSamples; sample++) {
    const trace = data.traceOf(sample, condition);
    if (trace >= 0 && filter.countOf(trace, head)) traces.push(trace);
  }
  const share = trace => filter.countOf(trace, head) / data.steps[trace];
  traces.sort((one, other) => filter.countOf(other, head) - filter.countOf(one, head) || share(other) - share(one) || one - other);
  if (!traces.length) return [note(`It retrieves at no step of any sample under ${data.conditions[condition]}.`)];
  const shown = [];
  for (const trace of traces.slice(0, EXAMPLES)) shown.push(example(data, trace, await openTrace(data, trace), head, condition));
  return [note(`${whole(traces.length)} of ${whole(data.nSamples)} samples have a step at which it retrieves; these have most of them, under ${data.conditions[condition]}. A click on a token opens its step.`), ...shown];
}

function example(data, trace, run, head, condition) {
  const element = make("div", {className: "example"}), line = make("p", {className: "line"}), text = make("p", {className: "text"});
  const sample = data.sample[trace], n = run.often(head);
  line.append(link(`sample ${sample}`, explorerLink(data, sample, {condition, head})), make("span", {className: "muted", textContent: ` ${n} of ${run.steps} steps, ${data.right[trace] ? "right" : "wrong"}`}));
  run.tokens.forEach((token, step) => {
    const piece = make("a", {className: run.active(step, head) ? "token active" : "token", textContent: token, href: explorerLink(data, sample, {condition, step, head}), title: `step ${step}, score ${Number(run.score(step, head).toFixed(3))}`});
    text.append(piece);
  });
  element.append(line, text);
  return element;
}
