// Data lie in files beside the page, each a script that hands over base64: a page on a disk may load a script, and may not fetch.

const KEPT_PARTS = 8;
const files = new Map(), waiting = new Map(), parts = [];

window.take = (name, packed) => waiting.get(name)?.(packed);

function load(name) {
  if (!files.has(name)) files.set(name, new Promise((resolve, reject) => {
    const script = make("script", {src: `data/${name}.js`});
    const fail = () => { files.delete(name); reject(new Error(`data/${name}.js is missing or damaged; make the viewer again`)); };
    waiting.set(name, packed => { waiting.delete(name); resolve(packed); });
    script.onerror = fail;
    script.onload = () => { script.remove(); if (waiting.delete(name)) fail(); };
    document.head.append(script);
  }));
  return files.get(name);
}

// One trace of a part; the parts asked for last are kept.
async function loadPart(number, slot) {
  const name = `part-${number}`;
  const place = parts.indexOf(name);
  if (place >= 0) parts.splice(place, 1);
  parts.push(name);
  while (parts.length > KEPT_PARTS) files.delete(parts.shift());
  return readBlock((await load(name))[slot]);
}
