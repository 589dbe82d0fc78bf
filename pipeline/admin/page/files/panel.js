// The panel at the side: the last hour of one part, its errors, its settings.

import { $, h } from './dom.js';
import { chart } from './charts.js';
import { nameOf } from './graph.js';
import { errors } from './views.js';
import { count, lagSeries, percent, rate, took } from './words.js';

let opener; // where the focus goes back to

/** open shows a part, and takes the focus. */
export function open(node, by) {
  opener = by;
  $('panel-head').textContent = nameOf(node);
  $('panel').hidden = false;
  $('panel-head').focus();
}

export function close() {
  if ($('panel').hidden) return;
  $('panel').hidden = true;
  (opener?.isConnected ? opener : $('main')).focus();
  opener = undefined;
}

const lagChart = unit => ['', 'lag', ...lagSeries(unit)];
const share = v => percent(v);
const charts = {
  source: [
    ['', 'records a second', { rate_in: 'in', rate_out: 'out' }, rate], lagChart,
    ['', 'behind', { lag_age_ms: 'by' }, took],
  ],
  step: [
    ['own', 'records a second', { rate_in: 'in', rate_out: 'out', rate_errors: 'errors' }, rate],
    ['own', 'workers', { busy: 'busy', idle: 'idle', blocked: 'blocked' }, share, 1],
    ['own', 'queue', { fill: 'full' }, share, 1], ['own', 'a record takes', { lat_p50_ms: 'p50', lat_p95_ms: 'p95', lat_p99_ms: 'p99' }, took],
  ],
  sink: [
    ['own', 'records a second', { rate_in: 'in', rate_out: 'out', rate_errors: 'errors' }, rate],
    ['own', 'in flight', { inflight: 'records' }, count], ['own', 'a write takes', { write_p50_ms: 'p50', write_p99_ms: 'p99' }, took],
  ],
};
charts.dead_letter = charts.sink;

/** show fills the panel; unit is what lag counts. It is called with each new point of the history. */
export function show(node, hour, failed, unit) {
  const drawings = charts[node.role].map(c => c === lagChart ? lagChart(unit) : c).map(([whose, title, names, shown, most]) => {
    const series = hour.series(whose && node.id, names);
    return series && chart({ title, at: hour.at, series, shown, most });
  }).filter(Boolean);
  const list = h('table'), none = h('p', { className: 'empty' }, 'No attempt has failed.');
  errors(failed, e => e.step === node.name, list, none);
  $('panel-body').replaceChildren(
    ...(drawings.length ? drawings : [h('p', { className: 'empty' }, 'No history yet: there is a point every ten seconds.')]),
    ...(node.role === 'source' ? [] : [h('h3', {}, 'Errors by type'), h('div', { className: 'wide' }, list), none]),
    h('h3', {}, 'Settings'), h('p', { className: 'code' }, node.text || 'nothing beyond its kind'), ...(node.how ?? []).map(text => h('p', { className: 'quiet' }, text)));
}
