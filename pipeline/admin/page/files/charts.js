// Charts of the last hour, as SVG: lines that differ by their dashes too, the newest value of each beside its name, and those
// of a moment when it is pointed at.

import { h, say, set, svg } from './dom.js';
import { clock, minute, utc } from './words.js';

const [width, height, left, bottom, top] = [320, 140, 6, 18, 16];

/** chart makes a chart. series are {name, values}, one value or null for each of at; most is the top of the axis, if it is fixed. */
export function chart({ title, at, series, shown, most }) {
  const known = series.flatMap(s => s.values).filter(Number.isFinite);
  const best = most ?? nice(Math.max(0, ...known));
  const from = at[0], to = Math.max(at.at(-1), from + 60_000);
  const x = t => left + (width - 2 * left) * (t - from) / (to - from);
  const y = v => top + (height - top - bottom) * (1 - v / (best || 1));
  const legend = series.map((s, i) => h('span', { className: `key line${i}` }, h('i'), `${s.name} `, h('b')));
  const when = h('span', { className: 'when' });
  const cursor = svg('line', { y1: top, y2: height - bottom, class: 'cursor', visibility: 'hidden' });
  const drawing = svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': heard(title, series, shown) },
    ...[0, 0.5, 1].map(part => svg('line', { x1: left, x2: width - left, y1: y(best * part), y2: y(best * part), class: 'grid' })),
    svg('text', { x: left, y: top - 5, class: 'axis' }, shown(best)),
    ...ticks(from, to).map(t => svg('text', { x: x(t), y: height - 5, class: 'axis', 'text-anchor': 'middle' }, minute(t))),
    ...series.map((s, i) => svg('path', { d: line(at, s.values, x, y), class: `line line${i}` })), cursor);
  const show = k => {
    legend.forEach((e, i) => say(e.lastChild, shown(series[i].values[k])));
    const now = k === at.length - 1;
    say(when, now ? '' : clock(at[k]));
    when.title = utc(at[k]);
    set(cursor, { visibility: now ? 'hidden' : 'visible', x1: x(at[k]), x2: x(at[k]) });
  };
  drawing.addEventListener('pointermove', e => {
    const box = drawing.getBoundingClientRect(), t = from + (to - from) * ((e.clientX - box.left) / box.width * width - left) / (width - 2 * left);
    show(at.reduce((found, one, k) => Math.abs(one - t) < Math.abs(at[found] - t) ? k : found, 0));
  });
  drawing.addEventListener('pointerleave', () => show(at.length - 1));
  show(at.length - 1);
  return h('figure', { className: 'chart' }, h('figcaption', {}, h('strong', {}, title), when, ...legend), drawing);
}

const apart = 30_000; // there is a point every ten seconds: where there was none for longer, nobody knows what was

/** line leaves a gap where a value is not known, and where there was no point: the process did not run. */
function line(at, values, x, y) {
  let path = '', pen = 'M';
  values.forEach((v, i) => {
    if (!Number.isFinite(v)) {
      pen = 'M';
      return;
    }
    if (i > 0 && at[i] - at[i - 1] > apart) pen = 'M';
    path += `${pen}${x(at[i]).toFixed(1)} ${y(v).toFixed(1)}`;
    pen = 'L';
  });
  return path;
}

/** nice gives the next of 1, 1.5, 2, 3, 4 … */
function nice(v) {
  if (!(v > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(v));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find(n => n * unit >= v) * unit;
}

/** ticks are round minutes, four at most. */
function ticks(from, to) {
  const step = [1, 2, 5, 10, 15, 20].find(m => (to - from) / (m * 60_000) <= 4.5) * 60_000, all = [];
  for (let t = Math.ceil((from + (to - from) * 0.04) / step) * step; t < to - (to - from) * 0.04; t += step) all.push(t);
  return all;
}

/** heard says a chart to those who do not see it. */
function heard(title, series, shown) {
  return title + ': ' + series.map(s => {
    const known = s.values.filter(Number.isFinite);
    return known.length ? `${s.name} now ${shown(s.values.at(-1))}, from ${shown(Math.min(...known))} to ${shown(Math.max(...known))}` : `${s.name} not known`;
  }).join('; ');
}

/** stretches joins what was had of the history with what has come since, and keeps an hour of it. */
export class Hour {
  at = [];
  parts = new Map(); // by role and name: series by name

  /** add takes an answer of /api/v1/history about one pipeline. */
  add(answer) {
    const before = this.at.length;
    this.at.push(...answer.at);
    for (const part of answer.pipelines[0]?.parts ?? []) {
      const id = part.step !== undefined ? 'step:' + part.step : part.sink !== undefined ? 'sink:' + part.sink : part.dead_letter !== undefined ? 'dead_letter:' + part.dead_letter : '';
      const all = this.parts.get(id) ?? {};
      for (const [name, values] of Object.entries(part.series)) {
        all[name] ??= [];
        while (all[name].length < before) all[name].push(null);
        all[name].push(...values);
      }
      this.parts.set(id, all);
    }
    const over = Math.max(0, this.at.length - 3_600_000 / answer.every_ms);
    this.at.splice(0, over);
    for (const all of this.parts.values()) {
      for (const values of Object.values(all)) {
        values.splice(0, over);
        while (values.length < this.at.length) values.push(null);
      }
    }
  }

  get last() { return this.at.at(-1) ?? 0; }

  /** series gives those of a part by their names in the history, under the names that are shown. */
  series(id, names) {
    const all = this.parts.get(id);
    return all && this.at.length > 1 ? Object.entries(names).map(([name, shown]) => ({ name: shown, values: all[name] ?? this.at.map(() => null) })) : undefined;
  }
}
