// The run's verdicts, what was asked, what the store was made with, and the log.

const MOST_LINES = 500;

async function openRun() {
  return (await readBlock(await load("run"))).header;
}

function drawRun(data, run) {
  const page = make("div");
  for (const text of run.notes) page.append(note(text));
  if (data.report) {
    const line = make("p");
    line.append(link("The report, with figures and the paper's values", data.report));
    page.append(line);
  }
  if (!run.verdicts.length) page.append(note("No verdict is recorded in this folder."));
  run.verdicts.forEach(verdict => page.append(...drawVerdict(verdict)));
  page.append(title(2, "What was asked"), facts(run.asked), title(2, "What the traces were made with"), facts(run.manifest), title(2, "Log"), ...drawLog(run.log));
  return page;
}

function drawVerdict(verdict) {
  const said = verdict.reasons.map(reason => make("li", {textContent: reason})), list = make("ul");
  list.append(...said);
  const rows = verdict.evidence.map(each => [each.name, between(each), each.null === null ? "–" : decimal(each.null), each.n, each.note ?? "", each.method ?? ""]);
  const heading = title(2, `${verdict.claim} on ${verdict.model}: ${verdict.headline}`);
  heading.className = "verdict";
  return [heading, list, ...(rows.length ? [table(["measure", "estimate", "null", "n", "note", "interval by"], rows)] : [])];
}

const facts = pairs => pairs.length ? table(["", ""], pairs) : note("nothing is recorded");

function drawLog(lines) {
  if (!lines.length) return [note("The folder has no log.")];
  const rows = lines.slice(-MOST_LINES).map(({time, event, elapsed, ...rest}) => [String(time ?? ""), event, Object.entries(rest).filter(([name]) => name !== "traceback").map(([name, value]) => `${name} ${typeof value === "string" ? value : JSON.stringify(value)}`).join(", ")]);
  return [...(lines.length > MOST_LINES ? [note(`the last ${MOST_LINES} of ${whole(lines.length)} lines`)] : []), table(["time", "event", ""], rows)];
}
