// The page's data: one deflated block of binary arrays behind a JSON header, as pack.py lays it out.

const ARRAYS = {
  "|u1": Uint8Array, "<u2": Uint16Array, "<u4": Uint32Array, "<f4": Float32Array, "<f8": Float64Array,
};

async function readBlock(base64) {
  const text = atob(base64);
  const packed = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) packed[index] = text.charCodeAt(index);
  const inflated = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const raw = await new Response(inflated).arrayBuffer();
  const size = new DataView(raw).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(raw, 4, size)));
  const base = Math.ceil((4 + size) / 8) * 8;
  const array = name => {
    if (!(name in header.arrays)) return null;
    const [dtype, start, length] = header.arrays[name];
    return new ARRAYS[dtype](raw, base + start, length);
  };
  return {header, array};
}

async function readData(base64) {
  const {header, array} = await readBlock(base64);
  const conditions = header.conditions.map((facts, index) => condition(header, facts, part => array(`${index}.${part}`)));
  return {...header, conditions, promptIds: array("prompt.ids"), total: header.layers * header.heads};
}

// Truth values that lie eight a byte, the highest bit first.
const unpacked = (bits, length) => bits && Uint8Array.from({length}, (_, index) => bits[index >> 3] >> (7 - index % 8) & 1);

// One generation: what was stored of it, and what every view asks of it.
function condition(header, facts, array) {
  const total = header.layers * header.heads;
  const cells = facts.steps * total;
  const scores = array("scores") ?? unpacked(array("scores.bits"), cells), ablated = array("ablated") ?? unpacked(array("ablated.bits"), cells);
  const positions = array("positions"), weights = array("weights");
  const none = positions instanceof Uint16Array ? 2 ** 16 - 1 : 2 ** 32 - 1;
  const score = (step, head) => scores[step * total + head];
  const active = (step, head) => score(step, head) > facts.threshold;
  const off = (step, head) => ablated !== null && ablated[step * total + head] === 1;
  const heads = test => Array.from({length: total}, (_, head) => head).filter(test);
  const sources = (step, head) => {
    const found = [];
    for (let rank = 0; rank < facts.ranks; rank++) {
      const place = (step * total + head) * facts.ranks + rank;
      if (positions[place] !== none) found.push({position: positions[place], weight: weights[place] / 65535});
    }
    return found;
  };
  const taken = array("effects");
  return {
    // What a set of heads, off at that step alone, takes from the token's log probability: nats, NaN where the set has no head there.
    effect: (set, step) => taken[set * facts.steps + step],
    ...facts, ids: array("ids"), varying: array("varying"), top: array("top"), score, active, off, sources,
    activeHeads: step => heads(head => active(step, head)),
    offHeads: step => heads(head => off(step, head)),
    often: head => Array.from({length: facts.steps}, (_, step) => active(step, head)).filter(Boolean).length,
    everActive: () => heads(head => Array.from({length: facts.steps}).some((_, step) => active(step, head))),
    // Heads among whose strongest sources a position is, the strongest look first.
    lookingAt: (step, position) => heads(() => true)
      .map(head => ({head, weight: sources(step, head).find(source => source.position === position)?.weight ?? 0}))
      .filter(look => look.weight > 0)
      .sort((one, other) => other.weight - one.weight),
  };
}

// What changes at each step from one generation to another: 1 where only the other has the head, -1 where only this one has.
function difference(run, other) {
  const steps = Math.min(run.steps, other.steps);
  const change = (step, head) => other.active(step, head) - run.active(step, head);
  return {
    name: `difference: ${other.name} less ${run.name}`, steps, labels: other.labels.slice(0, steps), score: change, change,
    active: (step, head) => change(step, head) !== 0, off: () => false, only: step => step > 0 ? other.name : run.name,
  };
}

const headName = (data, head) => `L${Math.floor(head / data.heads)}H${head % data.heads}`;

// `L4H7, L2` as heads: a layer alone means all of its heads. Words that are neither are given back.
function parseHeads(data, text) {
  const heads = new Set(), wrong = [];
  for (const word of text.split(/[\s,;]+/).filter(word => word)) {
    const match = /^L(\d+)(?:H(\d+))?$/i.exec(word);
    const layer = match ? Number(match[1]) : Infinity;
    const only = match && match[2] !== undefined ? Number(match[2]) : null;
    if (layer >= data.layers || (only !== null && only >= data.heads)) wrong.push(word);
    else if (only !== null) heads.add(layer * data.heads + only);
    else for (let head = 0; head < data.heads; head++) heads.add(layer * data.heads + head);
  }
  return {heads: [...heads], wrong};
}

// Prompt and generated tokens are one sequence of positions.
const textAt = (data, run, position) =>
  position < data.prompt.length ? data.prompt[position] : run.tokens[position - data.prompt.length];
const idAt = (data, run, position) =>
  position < data.prompt.length ? data.promptIds[position] : run.ids[position - data.prompt.length];
const inNeedle = (data, position) => data.needle.some(([first, last]) => first <= position && position <= last);

// Eq. 1 for the strongest source. A binary score says it itself, but an ablated run's score is that of the observing forward, and the token
// came from another: there, as with a continuous score, the source must hold the very token that this run generated.
function copies(data, run, step, head, source) {
  if (!inNeedle(data, source.position)) return false;
  return run.binary && !run.ablated ? run.score(step, head) === 1 : idAt(data, run, source.position) === run.ids[step];
}

// On an ablated run a head may retrieve what the observing forward was about to generate, and another token came out.
function wouldCopy(data, run, step, head, source) {
  return run.ablated && run.binary && inNeedle(data, source.position) && run.score(step, head) === 1;
}
