// Small helpers around the document. Text always goes in as text: nothing here, or elsewhere, turns words into markup.

export const $ = (id) => document.getElementById(id);

/** Sets a node's text, if it differs: no needless layout, no needless announcement. */
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets an attribute, if it differs. */
export function mark(node, name, value) {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** A new element with properties and children. */
export function element(tag, props = {}, ...children) {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children);
  return node;
}

/** Rebuilds the children of `node` only when `key` changes: calm for eyes and screen readers. */
export function rebuild(node, key, make) {
  if (node.dataset.key === key) return;
  node.dataset.key = key;
  node.replaceChildren(...make());
}

/** Fills a <dl> with [name, value] rows; a value may be a node. Keeps the nodes where the names stay. */
export function pairs(list, rows) {
  rebuild(list, rows.map(([name]) => name).join("\n"), () =>
    rows.flatMap(([name]) => [element("dt", { textContent: name }), element("dd")]));
  const cells = list.querySelectorAll("dd");
  rows.forEach(([, value], n) => put(cells[n], value));
}

/** Makes the buttons of `group` a choice of one; calls `chosen(value)` with the button's data-value. */
export function choice(group, chosen) {
  const buttons = [...group.querySelectorAll("button")];
  const choose = (button) => {
    for (const b of buttons) b.setAttribute("aria-pressed", String(b === button));
    chosen(button.dataset.value);
  };
  for (const button of buttons) button.addEventListener("click", () => choose(button));
}
