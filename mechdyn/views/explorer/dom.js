// Elements: found by their id, and made with their properties and attributes.

const byId = id => document.getElementById(id);

function make(tag, properties = {}, attributes = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
