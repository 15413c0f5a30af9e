/* dom: building and changing elements. Text from outside only ever becomes a text node or an
 * attribute's value, never markup. */

const SVG = 'http://www.w3.org/2000/svg';

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, '');
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

export function byId(id) {
  return document.getElementById(id);
}

/* Writes only what differs: an untouched node costs no layout. */
export function setText(node, text) {
  const value = String(text ?? '');
  if (node.textContent !== value) node.textContent = value;
}

export function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/* A text from outside: its writing direction doesn't affect its neighbours. */
export function foreign(text, attributes = {}) {
  return el('bdi', { title: text, ...attributes }, text ?? '');
}

/* A table cell. On a phone it stands on a line of its own, after its name. */
export function cell(name, kind, ...children) {
  return el('td', { role: 'cell', 'data-name': name, class: kind }, ...children);
}

/* Makes the children of `parent` those of `items`, in order, and keeps the nodes of the items that
 * stay. `make(item)` returns {node, update(item)}. */
export class KeyedList {
  #rows = new Map();

  constructor(parent, keyOf, make) {
    this.parent = parent;
    this.keyOf = keyOf;
    this.make = make;
  }

  get rows() {
    return this.#rows;
  }

  show(items) {
    const rows = new Map();
    let next = this.parent.firstChild;
    for (const item of items) {
      const key = this.keyOf(item);
      const row = this.#rows.get(key) ?? this.make(item);
      rows.set(key, row);
      this.#rows.delete(key);
      row.update(item);
      if (row.node === next) next = next.nextSibling;
      else this.parent.insertBefore(row.node, next);
    }
    for (const row of this.#rows.values()) row.node.remove();
    this.#rows = rows;
  }
}
