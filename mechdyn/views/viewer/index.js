// The rows of samples and traces, as `index_block` of pack.py lays them out.

async function openIndex() {
  const {header, array} = await readBlock(await load("index"));
  const names = ["sample", "condition", "part", "slot", "steps", "retrieving", "right", "prompt"];
  const columns = Object.fromEntries(names.map(name => [name, array(name)]));
  const nSamples = header.key.length, nConditions = header.conditions.length;
  const where = new Int32Array(nSamples * nConditions).fill(-1);
  columns.sample.forEach((sample, trace) => { where[sample * nConditions + columns.condition[trace]] = trace; });
  const traceOf = (sample, condition) => where[sample * nConditions + condition];
  return {
    ...header, ...columns, perStep: array("heads"), nSamples, total: header.layers * header.heads, traceOf,
    tracesOf: sample => header.conditions.map((_, condition) => traceOf(sample, condition)).filter(trace => trace >= 0),
    sampleOf: key => header.key.indexOf(key),
    facts: Object.entries(header.facts).filter(([, values]) => values.some(value => value !== null)).map(([name, values]) => ({name, values})),
  };
}

// One generation in full, as the explorer reads it.
async function openTrace(data, trace) {
  const {header, array} = await loadPart(data.part[trace], data.slot[trace]);
  return {needle: header.needle, promptIds: array("prompt.ids"), ...condition(data, header, array)};
}

// The address of a sample's explorer.
function explorerLink(data, sample, {condition, versus, step, head} = {}) {
  const parts = new URLSearchParams();
  if (condition !== undefined) parts.set("condition", data.conditions[condition]);
  if (versus !== undefined) parts.set("versus", data.conditions[versus]);
  if (step !== undefined) parts.set("step", step);
  if (head !== undefined) parts.set("head", headName(data, head));
  return `explorer.html?sample=${encodeURIComponent(data.key[sample])}#${parts}`;
}
