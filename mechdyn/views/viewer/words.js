// Numbers and pieces of text.

const decimal = (value, digits = 3) => value === null || Number.isNaN(value) ? "–" : value.toFixed(digits);
const between = ({estimate, low, high}) => low === null || Number.isNaN(low) ? `${decimal(estimate)} (no interval)` : `${decimal(estimate)} [${decimal(low)}, ${decimal(high)}]`;
const whole = value => value.toLocaleString("en");
const note = text => make("p", {className: "note", textContent: text});
const title = (level, text) => make(`h${level}`, {textContent: text});
const link = (text, href) => make("a", {textContent: text, href});

// Pieces under one heading; `blocks` stand side by side where there is room.
function block(...children) {
  const element = make("div", {className: "block"});
  element.append(...children.flat());
  return element;
}

function blocks(...found) {
  const element = make("div", {className: "blocks"});
  element.append(...found.filter(Boolean));
  return element;
}

// A table of texts and elements; columns of numbers stand to the right.
function table(columns, rows, caption = "") {
  const head = make("tr"), body = make("tbody");
  const numeric = columns.map((_, index) => rows.every(row => typeof row[index] === "number" || /^[-–\d.]/.test(row[index]?.textContent ?? String(row[index]))));
  const cell = (tag, content, index) => {
    const element = make(tag, {className: numeric[index] ? "number" : ""});
    element.append(typeof content === "number" ? whole(content) : content);
    return element;
  };
  head.append(...columns.map((name, index) => cell("th", name, index)));
  for (const row of rows) {
    const line = make("tr");
    line.append(...row.map((content, index) => cell("td", content, index)));
    body.append(line);
  }
  const element = make("table"), top = make("thead");
  top.append(head);
  if (caption) element.append(make("caption", {textContent: caption}));
  element.append(top, body);
  const scrolled = make("div", {className: "scroll"}, {tabindex: "0"});
  scrolled.append(element);
  return scrolled;
}

// A share with its interval as a bar from 0 to 1.
function bar(share, label) {
  const row = make("div", {className: "share"}), track = make("span", {className: "track"}), fill = make("span", {className: "fill"});
  fill.style.width = `${100 * (share.estimate || 0)}%`;
  track.append(fill);
  if (share.low !== null && !Number.isNaN(share.low)) {
    const reach = make("span", {className: "reach"});
    reach.style.left = `${100 * share.low}%`;
    reach.style.width = `${100 * (share.high - share.low)}%`;
    track.append(reach);
  }
  row.append(make("span", {className: "label", textContent: label}), track, make("span", {className: "value", textContent: between(share)}));
  return row;
}
