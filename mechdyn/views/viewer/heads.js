// Heads over all samples: how often each retrieves, where in the needle, on which kinds of token, with which others.

const MOST_ROWS = 20;

async function openHeads() {
  const {header, array} = await readBlock(await load("heads"));
  const of = name => ({estimate: array(`${name}.estimate`), low: array(`${name}.low`), high: array(`${name}.high`)});
  const at = (columns, head) => ({estimate: columns.estimate[head], low: columns.low[head], high: columns.high[head]});
  const many = (prefix, steps) => (steps ?? []).map((n, index) => ({n, ...of(`${prefix}.${index}`)}));
  return {
    ...header, at, shares: many("share", header.conditions), differences: many("difference", header.compared),
    places: header.placeSteps && many("place", header.placeSteps), kindShares: many("kind", header.kindSteps),
    ranks: new Map(header.lists.map(list => [list.name, new Map(list.heads.map((head, rank) => [head, rank]))])),
  };
}

function drawHeads(data, heads, app) {
  const group = Math.max(0, heads.conditions.indexOf(data.groups[app.state.condition]));
  const shares = heads.shares[group], most = Math.max(...shares.estimate, 1e-9);
  const page = make("div");
  const choose = head => app.set({at: headName(data, head)});
  page.append(
    title(2, `How often each head retrieves, ${heads.conditions[group]}`),
    note(`The share of ${whole(heads.steps[group])} steps of ${whole(heads.samples[group])} samples at which a head's ${data.score} score is above ${data.threshold}, with its 95 % interval (samples that share a needle or a haystack count together). A click opens the head's page.`),
    headGrid(data, "Share of steps", head => ({color: shade(shares.estimate[head], most), words: between(heads.at(shares, head))}), choose),
    scaleKey(["0", decimal(most)], SCALE),
  );
  const order = Array.from({length: data.total}, (_, head) => head).sort((one, other) => shares.estimate[other] - shares.estimate[one] || one - other);
  const top = order.slice(0, MOST_ROWS).filter(head => shares.estimate[head] > 0);
  const named = head => link(headName(data, head), `#${new URLSearchParams({page: "heads", at: headName(data, head)})}`);
  const often = block(title(3, "The heads that retrieve most often"), table(["head", "share of steps"], top.map(head => [named(head), between(heads.at(shares, head))])));
  page.append(blocks(often, together(data, heads)), blocks(places(data, heads, top), kinds(data, heads, top)));
  return page;
}

function places(data, heads, rows) {
  const heading = title(3, `Where in the needle they retrieve, ${heads.conditions[0]}`);
  if (!heads.places) return block(heading, note(`A ${data.score} score does not say what a head copied, so stored traces do not tell; the sources in mechdyn explore do.`));
  const n = heads.placeSteps.map(whole).join(", ");
  return block(
    heading, note(`Of the steps that generate a token of each tenth of the needle, the share at which the head retrieves. From the first tenth to the last there are ${n} such steps.`),
    cells(data, heads, rows, heads.places, index => `tenth ${index + 1} of the needle`, index => String(index + 1)),
  );
}

function kinds(data, heads, rows) {
  const present = heads.kinds.map((_, index) => index).filter(index => heads.kindSteps[index] > 0);
  const n = present.map(index => `${heads.kinds[index]} ${whole(heads.kindSteps[index])}`).join(", "), name = index => heads.kinds[present[index]];
  return block(
    title(3, `On which kinds of token they retrieve, ${heads.conditions[0]}`),
    note(`Of the steps that generate a token of a kind, the share at which the head retrieves. Steps of each kind: ${n}.`),
    cells(data, heads, rows, present.map(index => heads.kindShares[index]), name, name),
  );
}

// Some heads by some groups of steps.
function cells(data, heads, rows, groups, words, short) {
  const element = make("table", {className: "cells"}), top = make("tr"), body = make("tbody");
  top.append(make("th"), ...groups.map((_, index) => make("th", {textContent: short(index)})));
  for (const head of rows) {
    const line = make("tr");
    line.append(make("th", {textContent: headName(data, head)}));
    groups.forEach((group, index) => {
      const share = heads.at(group, head), cell = make("td", {textContent: decimal(share.estimate, 2), title: `${headName(data, head)}, ${words(index)}: ${between(share)}`});
      cell.style.background = shade(share.estimate, 1);
      cell.className = share.estimate > 0.55 ? "dark" : "";
      line.append(cell);
    });
    body.append(line);
  }
  const head = make("thead"), scrolled = make("div", {className: "scroll"}, {tabindex: "0"});
  head.append(top);
  element.append(head, body);
  scrolled.append(element);
  return scrolled;
}

// Which heads retrieve together, beyond what their frequencies alone would do.
function together(data, heads) {
  if (!heads.pairs.length) return null;
  const sorted = [...heads.pairs].sort((one, other) => (other.estimate - other.chance) - (one.estimate - one.chance)).slice(0, MOST_ROWS);
  return block(
    title(3, `Heads that retrieve together, ${heads.conditions[0]}`),
    note("Of the steps at which either of two heads retrieves, the share at which both do (Jaccard); by chance is what it would be if, within each sample, the one's steps had nothing to do with the other's. The pairs furthest above chance, among the heads that retrieve most often."),
    table(["heads", "Jaccard", "by chance"], sorted.map(pair => [`${pair.first} and ${pair.second}`, between(pair), decimal(pair.chance)])),
  );
}
