// The page: what is asked when, and what is shown of it.

import { follow, json } from './ask.js';
import { chart, Hour } from './charts.js';
import { $, say, set } from './dom.js';
import { Frames } from './figures.js';
import { draw, wanted } from './graph.js';
import * as log from './log.js';
import * as panel from './panel.js';
import * as views from './views.js';
import { clock, lagSeries, rate, took, utc } from './words.js';

const frames = new Frames();
let version = {}, shape, shapeOf, hour = new Hour(), failed = [], chosen = '', node;

// What is asked for beside the streams, when it was asked last, and whether it is being asked.
const asked = new Map();

/** every asks for something at most so often; when it fails, it is asked again the next time. */
async function every(what, ms, ask) {
  const before = asked.get(what);
  if (before !== undefined && performance.now() - before < ms) return;
  asked.set(what, Infinity);
  try {
    await ask();
    asked.set(what, performance.now());
  } catch {
    asked.set(what, performance.now() - ms + 2000); // not more than once in two seconds
  }
}

const query = more => `?pipeline=${encodeURIComponent(chosen)}${more ?? ''}`;

function choosePipeline() {
  let wanted = '';
  try {
    wanted = decodeURIComponent(location.hash.slice(1));
  } catch {
    // it names none
  }
  const name = frames.names.includes(wanted) ? wanted : frames.names[0];
  if (name === chosen || name === undefined) return;
  [chosen, shape, shapeOf, hour, failed] = [name, undefined, undefined, new Hour(), []];
  asked.clear();
  $('settings').open = false;
  closePanel();
  log.of(name);
}

function closePanel() {
  node = undefined;
  panel.close();
}

function openPanel(id, by) {
  if (node?.id === id) return closePanel();
  node = shape?.nodes.find(n => n.id === id);
  if (!node) return;
  panel.open(node, by);
  panel.show(node, hour, failed, unit());
  show();
}

/** show shows the newest frame. */
function show() {
  choosePipeline();
  const view = frames.of(chosen);
  if (!view) return;
  const source = shape?.nodes.find(n => n.role === 'source');
  view.sourceId = source?.id ?? 'source';
  view.sourceName = source?.name;
  views.head(view, version, frames.names.length > 1);
  views.pipelines(frames, chosen);
  views.tiles(view);
  views.parts(view, shape, openPanel);
  views.partitions(view);
  if (shape) draw(shape, view, node?.id, openPanel);
  ask(view);
}

/** ask asks for what has changed: nothing while nothing happens, so that who looks at an idle process does not keep it busy. */
function ask(view) {
  const mine = chosen, ours = () => mine === chosen;
  const parts = view.parts.map(p => p.id).join();
  every('version', 30_000, async () => { version = await json('/version'); }); // a file that was loaded again has another hash
  const drawing = [version.config_hash, parts, wanted()].join(); // a file may come back that was there before, and a window have its size again
  if (drawing !== shapeOf) {
    every('graph', 500, async () => {
      const answer = await json('/api/v1/graph' + query('&' + wanted()));
      if (!ours()) return;
      [shape, shapeOf] = [answer.pipelines[0], drawing];
      if (node && !shape.nodes.some(n => n.id === node.id)) closePanel(); // a reload has left it out
      show();
    });
  }
  every('history', 10_000, async () => {
    const answer = await json('/api/v1/history' + query('&since=' + hour.last));
    if (!ours()) return;
    hour.add(answer);
    drawHour();
  });
  if (failed.total !== view.errors_total) {
    every('errors', 2000, async () => {
      const total = view.errors_total, answer = await json('/api/v1/errors' + query());
      if (!ours()) return;
      failed = Object.assign(answer.pipelines[0].errors, { total });
      views.errors(failed);
    });
  }
  if (view.inflight > 0 || view.stalled || view.partitions.some(p => p.uncommitted > 0)) {
    every('why', 2000, async () => {
      const answer = await json('/api/v1/why' + query());
      if (ours()) views.why(answer.pipelines[0].holds);
    });
  } else {
    views.why([]);
  }
}

const unit = () => frames.of(chosen)?.source.lag_unit;

const charts = () => [
  ['records a second', { rate_in: 'in', rate_out: 'out' }, rate], ['lag', ...lagSeries(unit())],
  ['end to end', { e2e_p50_ms: 'p50', e2e_p95_ms: 'p95', e2e_p99_ms: 'p99' }, took], ['errors a second', { rate_errors: 'attempts', rate_rejected: 'rejected' }, rate],
];

function drawHour() {
  const drawings = charts().map(([title, names, shown]) => {
    const series = hour.series('', names);
    return series && chart({ title, at: hour.at, series, shown });
  }).filter(Boolean);
  if (drawings.length) $('charts').replaceChildren(...drawings);
  if (node) panel.show(node, hour, failed, unit());
}

let last; // when the last frame came

/** moved shows how the stream of figures stands. What was shown stays, and is marked as old. */
function moved(how, why) {
  const live = how === 'live';
  document.body.classList.toggle('old', !live && last !== undefined);
  if (live) {
    frames.clear();
    asked.delete('version');
    return;
  }
  set($('live'), { 'data-state': 'bad' });
  const since = last ? `; the figures are of ${clock(last)}` : '';
  say($('live'), { lost: 'not connected' + (why ? `: ${why}` : '') + since, ended: 'the process has ended' + since, hidden: 'not followed while hidden' + since }[how]);
  $('live').title = last ? utc(last) : '';
}

follow('/api/v1/stats/stream', event => {
  if (event.name !== 'stats') return;
  frames.push(JSON.parse(event.data));
  last = Date.now();
  set($('live'), { 'data-state': 'good' });
  say($('live'), 'live');
  document.body.classList.remove('old');
  show();
}, moved);
follow('/api/v1/logs/stream', log.got, () => {});

addEventListener('hashchange', show);
addEventListener('resize', show);
addEventListener('keydown', e => {
  if (e.key === 'Escape' && !$('ask').open) {
    closePanel();
    show();
  }
});
$('panel-close').addEventListener('click', () => {
  closePanel();
  show();
});
$('settings').addEventListener('toggle', () => {
  if (!$('settings').open) return;
  json('/api/v1/config').then(answer => {
    const file = answer.pipelines.find(p => p.pipeline === chosen);
    say($('settings-text'), file ? `# ${file.file}\n${file.yaml}` : 'There is no file of this pipeline.');
  }, e => say($('settings-text'), e.message));
});

const themes = { '': 'as the system', light: 'light', dark: 'dark' };
function showTheme() { say($('theme'), 'theme: ' + themes[document.documentElement.dataset.theme ?? '']); }
$('theme').addEventListener('click', () => {
  const all = Object.keys(themes), next = all[(all.indexOf(document.documentElement.dataset.theme ?? '') + 1) % all.length];
  if (next) document.documentElement.dataset.theme = next;
  else delete document.documentElement.dataset.theme;
  try {
    localStorage.setItem('theme', next);
  } catch {
    // it is not remembered
  }
  showTheme();
});
showTheme();
