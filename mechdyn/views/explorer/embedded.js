// The data of a page that holds them itself.

function openData() {
  const element = byId("data"), text = element.textContent;
  element.remove();
  return readData(text);
}
