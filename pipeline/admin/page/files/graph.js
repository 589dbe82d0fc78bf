// The graph: the process says where each part stands, the ways between them are drawn in SVG, and each part is a button on
// top of them, so that it can be reached by keys and holds text as other text.

import { $, h, say, set, svg } from './dom.js';
import { count, lagIn, lasting, percent, rate, took, unknown } from './words.js';

const narrow = 720; // below this many pixels records go down and not to the right
const smallest = 0.8; // a graph is made smaller to fit, but not smaller than this: then it has further rows

const roomIn = box => box.clientWidth - 4; // without its padding

/** wanted says which drawing fits the window. */
export function wanted() {
  const room = roomIn($('graph'));
  return room < narrow ? 'direction=down' : 'direction=right&width=' + Math.floor(room / smallest / 40) * 40;
}

const goesDown = () => wanted() === 'direction=down';

let drawn = '';

/** draw makes the drawing of a pipeline; where nothing has changed it only moves the figures. */
export function draw(shape, view, chosen, choose) {
  const box = $('graph'), key = JSON.stringify(shape), fresh = drawn !== key;
  if (fresh) {
    drawn = key;
    build(box, shape, choose);
  }
  const scale = Math.min(1, Math.max(smallest, roomIn(box) / shape.width));
  box.firstElementChild.style.zoom = scale;
  if (fresh) box.scrollLeft = goesDown() ? (box.scrollWidth - box.clientWidth) / 2 : 0; // what records go down by stands in the middle
  const parts = new Map(view.parts.map(p => [p.id, p]));
  for (const n of shape.nodes) {
    if (n.role === 'router') continue;
    fill(box.querySelector(`[data-id="${CSS.escape(n.id)}"]`), n, parts.get(n.id), view, n.id === chosen);
  }
  shape.edges.forEach((e, i) => flow(box.querySelector(`[data-way="${i}"]`), e, parts, view));
}

function build(box, shape, choose) {
  const at = new Map(shape.nodes.map(n => [n.id, n]));
  const down = goesDown();
  const ways = svg('svg', { width: shape.width, height: shape.height, 'aria-hidden': 'true', focusable: 'false' },
    svg('defs', {}, svg('marker', { id: 'arrow', viewBox: '0 0 8 8', refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: 'auto', markerUnits: 'userSpaceOnUse' },
      svg('path', { d: 'M0 0 8 4 0 8z', class: 'arrow' }))),
    ...shape.edges.map((e, i) => way(e, i, at.get(e.from), at.get(e.to), down, shape.nodes)));
  const sheet = h('div', { className: 'sheet' }, ways, ...shape.nodes.map(n => place(n.role === 'router' ? router() : part(n, choose), n)));
  sheet.style.width = shape.width + 'px';
  sheet.style.height = shape.height + 'px';
  box.replaceChildren(sheet);
}

function place(e, n) {
  Object.assign(e.style, { left: n.x + 'px', top: n.y + 'px', width: n.w + 'px', height: n.h + 'px' });
  return e;
}

const router = () => h('div', { className: 'router', title: 'each record goes to the sinks whose conditions it meets' }, 'routes');

/** nameOf is what a part is called: that of rejected records has a name that is a key of the file. */
export const nameOf = part => part.role === 'dead_letter' ? 'dead letters' : part.name;

function part(n, choose) {
  const e = h('button', { type: 'button', className: 'part ' + n.role, title: n.text ?? '', onclick: () => choose(n.id, e) },
    h('span', { className: 'head' }, h('b', {}, nameOf(n)), h('i', {}, n.kind === n.name ? n.role : n.kind)),
    h('span', { className: 'rates' }), h('span', { className: 'more' }), h('span', { className: 'queue' }), h('span', { className: 'load' }), h('span', { className: 'mark' }), h('span', { className: 'bar' }, h('s'), h('u')));
  e.dataset.id = n.id;
  return e;
}

/** way draws one edge, with what flows along it. */
function way(e, i, a, b, down, all) {
  const [x1, y1, x2, y2] = down ? [a.x + a.w / 2, a.y + a.h, b.x + b.w / 2, b.y] : [a.x + a.w, a.y + a.h / 2, b.x, b.y + b.h / 2];
  const mx = (x1 + x2) / 2, my = (y1 + y2) / 2;
  let d = down ? `M${x1} ${y1}C${x1} ${my} ${x2} ${my} ${x2} ${y2 - 2}` : `M${x1} ${y1}C${mx} ${y1} ${mx} ${y2} ${x2 - 2} ${y2}`;
  let at = down ? { x: x2 + 6, y: y2 - 12, 'text-anchor': 'start' } : { x: mx - 2, y: my - 9, 'text-anchor': 'middle' };
  if (!down && x2 <= x1) { // to the next row: between the two rows
    const k = all.indexOf(b), between = (Math.max(...all.slice(0, k).map(n => n.y + n.h)) + Math.min(...all.slice(k).map(n => n.y))) / 2;
    d = `M${x1} ${y1}c26 0 26 ${between - y1} 0 ${between - y1}L${x2} ${between}C${x2 - 24} ${between} ${x2 - 24} ${y2} ${x2 - 2} ${y2}`;
    at = { x: mx, y: between - 5, 'text-anchor': 'middle' };
  }
  return svg('g', { class: e.rejected ? 'way rejected' : 'way', 'data-way': i }, svg('path', { d, 'marker-end': 'url(#arrow)' }), svg('text', at));
}

const levels = [[0.5, 'high'], [0.1, 'low']];
const level = share => levels.find(([from]) => share > from)?.[1] ?? 'ok';

/** flow says what goes along a way: how much, and whether what is before it has to wait. */
function flow(group, e, parts, view) {
  const to = parts.get(e.to), from = parts.get(e.from);
  const along = to ? to.rateIn : from ? from.rateOut : view.steps.at(-1)?.rateOut ?? view.rateIn;
  const held = from?.blocked ?? (from ? 0 : { low: 0.3, high: 0.8 }[e.from.startsWith('source:') ? view.backpressure : ''] ?? 0);
  set(group, { 'data-held': level(held) });
  set(group.firstChild, { 'stroke-width': (1.5 + Math.min(5, Math.log10(1 + (along ?? 0)) * 1.3)).toFixed(1) });
  say(group.lastChild, along === undefined ? '' : rate(along) + '/s');
}

function fill(e, n, p, view, chosen) {
  const [rates, more, waits, load, mark, bar] = [...e.children].slice(1);
  set(e, { 'aria-pressed': chosen, 'data-state': p?.stalled ? 'stalled' : view.bottleneck_step === n.name ? 'bottleneck' : false });
  if (n.role === 'source') return fillSource(rates, more, waits, mark, view);
  if (!p) {
    say(rates, 'no figures');
    return;
  }
  const step = p.role === 'step';
  say(rates, p.role === 'dead_letter' ? `${count(p.records_out_total)} in all, ${rate(p.rateOut)}/s` : `${rate(p.rateIn)} → ${rate(p.rateOut)} /s`);
  say(more, `${step ? '' : 'write '}p99 ${took(p.latency.p99)}` + (step ? ` · ${p.workers} ${p.window_cap ? 'at once' : p.workers === 1 ? 'worker' : 'workers'}` : ''));
  say(waits, step ? queue(p) : `${count(p.inflight)} in it · ${count(p.batches_total)} writes`);
  say(load, step ? `busy ${percent(p.busy)} · blocked ${percent(p.blocked)}` : '');
  bar.firstChild.style.width = 100 * (p.busy ?? 0) + '%';
  bar.lastChild.style.width = 100 * (p.blocked ?? 0) + '%';
  say(mark, marked(p, view));
}

/** marked says in words what is special about a part; the colour beside it says nothing else. */
export function marked(p, view) {
  if (p.role === 'source') return markedSource(view);
  if (p.stalled) return `stalled for ${lasting(p.stalled.since_ms)}`;
  if (p.circuits_open) return `breaker open to ${p.circuits_open}`;
  if (view.bottleneck_step === p.name) return 'bottleneck';
  if (p.throttled) return `${count(p.throttled)} held back by limits`;
  if (p.rateErrors > 0) return `errors ${rate(p.rateErrors)}/s`;
  return '';
}

function markedSource(view) {
  if (view.source.connected === false && !view.over) return 'not connected';
  return view.backpressure && view.backpressure !== 'ok' ? `back pressure ${view.backpressure}` : '';
}

function fillSource(rates, more, waits, mark, view) {
  say(rates, `${rate(view.rateIn)} /s`);
  say(more, view.lag === undefined ? 'no lag known' : `lag ${lagIn(view.source.lag_unit)(view.lag)}` + (view.lagAge > 0 ? ` · ${lasting(view.lagAge)}` : ''));
  say(waits, view.partitions.length ? `${view.partitions.length} partition${view.partitions.length === 1 ? '' : 's'}` : '');
  say(mark, markedSource(view));
}

/** queue says how full it is in front of a step. */
export const queue = p => p.queue_cap > 0 ? `queue ${count(p.queue_len)}/${count(p.queue_cap)}` : `queue ${unknown}`;
