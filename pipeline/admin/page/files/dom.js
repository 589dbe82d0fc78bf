// Elements are made here. Every text becomes a text, whatever stands in it: names, messages and values come from
// files, brokers and records.

const svgSpace = 'http://www.w3.org/2000/svg';

export const $ = id => document.getElementById(id);

/** h makes an element of HTML: its properties, and children that are elements or texts. */
export function h(tag, props = {}, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith('on')) e.addEventListener(name.slice(2), value);
    else if (name in e && name !== 'role') e[name] = value;
    else e.setAttribute(name, value);
  }
  e.append(...children);
  return e;
}

/** svg makes an element of a drawing. */
export function svg(tag, attributes = {}, ...children) {
  const e = document.createElementNS(svgSpace, tag);
  set(e, attributes);
  e.append(...children);
  return e;
}

/** set sets attributes that differ. */
export function set(e, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) e.removeAttribute(name);
    else if (e.getAttribute(name) !== String(value)) e.setAttribute(name, value);
  }
}

/** say sets a text that differs: what stays as it is can be selected, and is not read out again. */
export function say(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

/** sync makes the children of parent those of items, by their keys. What stays keeps its element, and with it the focus. */
export function sync(parent, items, key, make, update = () => {}) {
  const before = parent.shown ?? new Map();
  const now = new Map();
  for (const item of items) {
    const k = key(item);
    if (!now.has(k)) now.set(k, { item, element: before.get(k) ?? make(item) });
  }
  for (const [k, element] of before) if (!now.has(k)) element.remove();
  let at = parent.firstElementChild;
  for (const { item, element } of now.values()) {
    if (element === at) at = at.nextElementSibling;
    else parent.insertBefore(element, at);
    update(element, item);
  }
  parent.shown = new Map([...now].map(([k, { element }]) => [k, element]));
}

/** table shows rows under heads. A column has its head, its text of a row, and perhaps a class; the first one heads its row. */
export function table(e, columns, rows, key, decorate = () => {}) {
  if (!e.tHead) {
    e.append(h('thead', {}, h('tr', {}, ...columns.map(c => h('th', { scope: 'col', className: c.as ?? '', title: c.title ?? '' }, c.head)))), h('tbody'));
  }
  sync(e.tBodies[0], rows, key,
    () => h('tr', {}, ...columns.map((c, i) => h(i === 0 ? 'th' : 'td', i === 0 ? { scope: 'row' } : { className: c.as ?? '' }))),
    (row, item) => {
      columns.forEach((c, i) => c.fill ? c.fill(row.cells[i], item) : say(row.cells[i], c.text(item)));
      decorate(row, item);
    });
  e.hidden = rows.length === 0;
}
