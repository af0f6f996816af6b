// The explorer's data: a sample's generations from the parts that they lie in, and its prompt by the run's vocabulary.

async function openData() {
  const data = await openIndex();
  const key = new URLSearchParams(location.search).get("sample"), sample = data.sampleOf(key);
  if (sample < 0) throw new Error(`the run has no sample ${quoted(String(key))}`);
  const own = data.tracesOf(sample);
  const [texts, prompt, ...conditions] = await Promise.all([readTexts(), openTrace(data, data.prompt[sample]), ...own.map(trace => openTrace(data, trace))]);
  const promptIds = prompt.promptIds;
  way(data, sample);
  return {
    question: data.question[sample], answer: data.answer[sample], layers: data.layers, heads: data.heads, total: data.total, promptIds,
    prompt: Array.from(promptIds, token => texts.get(token) ?? `[${token}]`), texts: data.vocabulary, needle: prompt.needle, conditions,
    again: data.again && `${data.again} --sample ${data.key[sample]}`,
  };
}

async function readTexts() {
  const {header, array} = await readBlock(await load("vocabulary"));
  return new Map(header.texts.map((text, index) => [array("ids")[index], text]));
}

// Back to the list, and to the samples before and after; j, k and Escape go there too.
function way(data, sample) {
  const bar = make("nav", {className: "way"}, {"aria-label": "Samples"});
  const list = `index.html#${new URLSearchParams({page: "samples", sample: data.key[sample]})}`;
  const near = {j: sample + 1, k: sample - 1};
  const link = (text, href) => make("a", {textContent: text, href});
  const beside = (name, other) => other >= 0 && other < data.nSamples ? [link(name, explorerLink(data, other))] : [];
  bar.append(link("← all samples", list), ...beside("previous", near.k), ...beside("next", near.j));
  bar.append(make("span", {className: "muted", textContent: `sample ${sample} of ${data.nSamples.toLocaleString("en")}: ${data.key[sample]}`}));
  document.querySelector("header").prepend(bar);
  addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName)) return;
    if (event.key === "Escape") location.href = list;
    const other = near[event.key];
    if (other >= 0 && other < data.nSamples) location.href = explorerLink(data, other);
  });
}
