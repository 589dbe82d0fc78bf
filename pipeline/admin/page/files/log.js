// The log: the last lines, and those that come. What is frozen stays as it is, and what comes meanwhile is counted.

import { $, h, say } from './dom.js';
import { clock, utc } from './words.js';

const most = 500;
const ranks = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];
const envelope = new Set(['timestamp', 'level', 'event_name', 'schema_version', 'service_name', 'service_instance_id', 'pipeline', 'message', 'step', 'sink']);

const lines = [];
let frozen, pipeline = '', missed = 0;

const fits = l => ranks.indexOf(l.level) >= ranks.indexOf($('log-level').value) && ($('log-all').checked || !l.pipeline || l.pipeline === pipeline);

/** got takes an event of the stream. */
export function got(event) {
  if (event.name === 'missed') {
    missed += JSON.parse(event.data).lines;
    note();
    return;
  }
  const line = JSON.parse(event.data);
  lines.push(line);
  if (lines.length > most) lines.shift();
  if (frozen !== undefined) {
    frozen++;
    note();
  } else if (fits(line)) append(line);
}

/** of shows the lines of another pipeline. */
export function of(name) {
  if (pipeline === name) return;
  pipeline = name;
  again();
}

function append(line) {
  const list = $('log'), end = list.scrollHeight - list.scrollTop - list.clientHeight < 8;
  list.append(row(line));
  while (list.children.length > most) list.firstElementChild.remove();
  if (end) list.scrollTop = list.scrollHeight;
}

function row(line) {
  const at = new Date(line.timestamp), time = h('time', { dateTime: line.timestamp, title: utc(at) }, clock(at));
  const details = Object.entries(line).filter(([key]) => !envelope.has(key)).map(([key, value]) => `${key}=${value}`).join(' ');
  const where = [line.pipeline === pipeline ? '' : line.pipeline, line.step ?? line.sink].filter(Boolean).join(' ');
  return h('li', { className: 'level-' + (ranks.includes(line.level) ? line.level : 'info') }, time, ' ', h('b', {}, line.level ?? ''), ' ', ...(where ? [h('em', {}, where), ' '] : []),
    h('span', {}, line.message ?? ''), ...(details ? [' ', h('small', {}, details)] : []));
}

function again() {
  $('log').replaceChildren(...lines.filter(fits).map(row));
  $('log').scrollTop = $('log').scrollHeight;
  note();
}

function note() {
  say($('log-note'), [frozen ? `${frozen} lines since then` : '', missed ? `${missed} lines came too fast and are not shown` : ''].filter(Boolean).join('; '));
}

$('log-level').addEventListener('change', again);
$('log-all').addEventListener('change', again);
$('log-freeze').addEventListener('click', e => {
  frozen = frozen === undefined ? 0 : undefined;
  e.currentTarget.setAttribute('aria-pressed', frozen !== undefined);
  e.currentTarget.textContent = frozen === undefined ? 'freeze' : 'go on';
  if (frozen === undefined) again();
  note();
});
