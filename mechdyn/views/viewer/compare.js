// Two conditions over all samples: how often each head retrieves under each, and the difference.

function drawCompare(data, heads, app) {
  const page = make("div"), name = data.groups[app.state.versus], index = heads.compared.indexOf(name), reference = heads.conditions[0];
  if (index < 0) {
    page.append(note(heads.conditions.length < 2 ? "The run has one condition; mechdyn ablate makes more." : `Choose a condition to compare with ${reference}, which the differences are against.`));
    return page;
  }
  const first = heads.shares[0], second = heads.shares[heads.conditions.indexOf(name)], difference = heads.differences[index];
  const most = Math.max(...first.estimate, ...second.estimate, 1e-9), furthest = Math.max(...difference.estimate.map(Math.abs), 1e-9);
  const choose = head => app.set({page: "heads", at: headName(data, head)});
  const grid = (shares, title) => headGrid(data, title, head => ({color: shade(shares.estimate[head], most), words: between(heads.at(shares, head))}), choose);
  const three = make("div", {className: "three"});
  three.append(grid(first, reference), grid(second, name), headGrid(data, `${name} less ${reference}`, head => ({color: shadeDifference(difference.estimate[head], furthest), words: between(heads.at(difference, head))}), choose));
  page.append(
    title(2, `${reference} and ${name}`),
    note(`The share of steps at which each head retrieves under either, and the difference over the same samples with its 95 % interval. On an ablated run a score is that of the step before its heads are switched off.`),
    three, scaleKey(["0", decimal(most)], SCALE), scaleKey([`−${decimal(furthest)}`, `+${decimal(furthest)}`], ["var(--series)", "var(--background)", "var(--accent)"]),
  );
  const apart = Array.from({length: data.total}, (_, head) => head).filter(head => difference.low[head] > 0 || difference.high[head] < 0);
  apart.sort((one, other) => Math.abs(difference.estimate[other]) - Math.abs(difference.estimate[one]) || one - other);
  page.append(title(3, `Heads whose difference is not 0: ${apart.length} of ${data.total}`), note("Intervals are of each head by itself: of a thousand heads without any difference, some fifty would be listed."));
  if (apart.length) page.append(table(["head", reference, name, "difference"], apart.slice(0, 20).map(head => [link(headName(data, head), `#${new URLSearchParams({page: "heads", at: headName(data, head)})}`), decimal(first.estimate[head]), decimal(second.estimate[head]), between(heads.at(difference, head))])));
  page.append(title(3, "Samples"), changed(data, app.state.versus));
  return page;
}

// Links into the list: what the condition broke, and what it mended.
function changed(data, condition) {
  const line = make("p");
  for (const [answers, words] of [["broken", "right before and wrong here"], ["mended", "wrong before and right here"]]) {
    let n = 0;
    for (let sample = 0; sample < data.nSamples; sample++) {
      const [before, here] = [data.traceOf(sample, 0), data.traceOf(sample, condition)];
      if (before >= 0 && here >= 0) n += answers === "broken" ? data.right[before] > data.right[here] : data.right[here] > data.right[before];
    }
    line.append(link(`${whole(n)} ${words}`, `#${new URLSearchParams({condition: data.conditions[condition], answers})}`), " ");
  }
  return line;
}
