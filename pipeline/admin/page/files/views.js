// The head of the page, its figures and its tables.

import { $, h, say, set, sync, table } from './dom.js';
import { marked, nameOf, queue } from './graph.js';
import { clock, count, lagIn, lasting, percent, rate, took, unknown, utc } from './words.js';

/** head shows how the pipeline and the process are. */
export function head(view, version, several) {
  say($('title'), view.pipeline);
  document.title = `${view.is.word}: ${view.pipeline}`;
  const pill = $('state').firstElementChild;
  set(pill, { 'data-state': view.is.state });
  say(pill, view.is.word);
  const notice = $('notice');
  notice.hidden = !view.is.text;
  set(notice, { 'data-state': view.is.state });
  say(notice, view.is.text ? `${view.is.word[0].toUpperCase()}${view.is.word.slice(1)}. ${view.is.text}` : '');
  const facts = [
    ['', version.version ? `${version.service} ${version.version}` : ''], ['config', version.config_hash], ['instance', version.instance],
    ['up', view.started ? lasting(view.at - new Date(view.started)) : '', view.started ? 'since ' + utc(new Date(view.started)) : ''],
  ].filter(([, text]) => text);
  sync($('facts'), facts, ([name]) => name, ([name]) => h('span', {}, name ? name + ' ' : '', h('b')), (e, [, text, title]) => {
    say(e.lastChild, text);
    e.title = title ?? '';
  });
  $('pipelines').hidden = !several;
}

/** pipelines shows which there are, and how each is. */
export function pipelines(frames, chosen) {
  sync($('pipelines'), frames.names, name => name, name => h('a', { href: '#' + encodeURIComponent(name) }, h('b', {}, name), ' ', h('span', { className: 'pill' })), (e, name) => {
    const { is } = frames.of(name);
    set(e, { 'aria-current': name === chosen ? 'page' : false });
    set(e.lastChild, { 'data-state': is.state });
    say(e.lastChild, is.word);
  });
}

/** tiles shows the figures of the pipeline. */
export function tiles(v) {
  const all = [
    ['in', rate(v.rateIn) + ' /s', `${count(v.records_in_total)} in all`],
    ['out', rate(v.rateOut) + ' /s', `${count(v.records_out_total)} in all`],
    ['lag', v.lag === undefined ? unknown : lagIn(v.source.lag_unit)(v.lag), v.lagAge > 0 ? `${lasting(v.lagAge)} behind` : v.lag === 0 ? 'nothing behind' : 'age not known'],
    ['end to end, p99', took(v.e2e.p99), `p50 ${took(v.e2e.p50)}, p95 ${took(v.e2e.p95)}`.replaceAll(/(?<!,) /g, '\u00a0')],
    ['in flight', count(v.inflight), `oldest ${v.inflight > 0 ? took(v.oldest_inflight_ms) : unknown}`],
    ['errors', rate(v.rateErrors) + ' /s', `${count(v.errors_total)} in all`],
    ['rejected', count(v.rejected_total), v.dead ? `${count(v.dead_letters_total)} dead letters` : 'no dead letters'],
    ['back pressure', v.backpressure ?? unknown, v.over ? 'nothing flows' : v.bottleneck_step ? `bottleneck: ${v.bottleneck_step}` : 'no bottleneck'],
  ];
  sync($('tiles'), all, ([name]) => name, ([name]) => h('div', {}, h('dt', {}, name), h('dd', {}, h('b'), h('small'))), (e, [, figure, more]) => {
    say(e.lastChild.firstChild, figure);
    say(e.lastChild.lastChild, more);
    e.lastChild.lastChild.title = more;
  });
}

const n = 'n'; // the class of figures

/** parts shows all parts with the figures of the graph and more; shape says which there are, also where there are no figures of one. */
export function parts(v, shape, choose) {
  const source = { id: v.sourceId, role: 'source', name: v.sourceName ?? 'source', kind: v.sourceName ?? '', rateOut: v.rateIn, latency: {}, records_out_total: v.records_in_total };
  const there = new Set(v.parts.map(p => p.id));
  const without = (shape?.nodes ?? []).filter(p => p.role !== 'source' && p.role !== 'router' && !there.has(p.id))
    .map(({ id, role, name, kind }) => ({ id, role, name, kind, latency: {}, silent: true }));
  table($('parts'), [
    { head: 'part', fill: (cell, p) => {
      if (!cell.firstChild) cell.append(h('button', { type: 'button', className: 'plain', onclick: e => choose(p.id, e.currentTarget) }, nameOf(p)));
    } },
    { head: 'kind', text: p => p.kind },
    { head: 'in /s', as: n, text: p => rate(p.rateIn) },
    { head: 'out /s', as: n, text: p => rate(p.rateOut) },
    { head: 'errors /s', as: n, text: p => rate(p.rateErrors) },
    { head: 'out in all', as: n, text: p => count(p.records_out_total) },
    { head: 'rejected', as: n, text: p => count(p.rejected_total) },
    { head: 'in it', as: n, title: 'records that it works on', text: p => count(p.inflight) },
    { head: 'queue', as: n, text: p => p.role === 'step' ? queue(p).replace('queue ', '') : unknown },
    { head: 'workers', as: n, text: p => count(p.workers) },
    { head: 'busy', as: n, text: p => percent(p.busy) },
    { head: 'idle', as: n, text: p => percent(p.idle) },
    { head: 'blocked', as: n, text: p => percent(p.blocked) },
    { head: 'p50', as: n, title: 'of the last interval of figures', text: p => took(p.latency.p50) },
    { head: 'p95', as: n, title: 'of the last interval of figures', text: p => took(p.latency.p95) },
    { head: 'p99', as: n, title: 'of the last interval of figures', text: p => took(p.latency.p99) },
    { head: 'oldest', as: n, title: 'how long a record has been worked on, at most', text: p => p.oldest_inflight_ms > 0 ? took(p.oldest_inflight_ms) : unknown },
    { head: 'note', text: p => p.silent ? 'no figures' : marked(p, v) },
  ], [source, ...v.parts, ...without], p => p.id, (row, p) => {
    set(row, { 'data-id': p.id, 'data-state': p.stalled ? 'stalled' : v.bottleneck_step === p.name ? 'bottleneck' : false });
  });
}

const mostRows = 200; // of a table: a browser that lays out thousands each second does nothing else

/** partitions shows those that are furthest behind first. */
export function partitions(v) {
  const all = v.partitions.toSorted((a, b) => (b.lag ?? -1) - (a.lag ?? -1) || a.topic.localeCompare(b.topic) || a.partition - b.partition);
  table($('partitions'), [
    { head: 'partition', text: p => `${p.topic}/${p.partition}` },
    { head: 'lag', as: n, text: p => lagIn(p.lag_unit)(p.lag) },
    { head: 'behind', as: n, title: 'how old the first record is that is not committed', text: p => p.lag_age_ms > 0 ? lasting(p.lag_age_ms) : p.lag_age_ms === 0 ? '0 s' : unknown },
    { head: 'committed', as: n, text: p => count(p.offset_committed) },
    { head: 'fetched', as: n, text: p => count(p.offset_fetched) },
    { head: 'end', as: n, text: p => count(p.offset_hwm) },
    { head: 'uncommitted', as: n, text: p => lagIn(p.lag_unit)(p.uncommitted) },
    { head: 'committed ago', as: n, text: p => lasting(p.commit_age_ms) },
    { head: 'note', text: p => [p.paused_by === 'command' ? 'paused by a command' : p.paused ? 'held back: too much of it waits' : '', p.lag_held > 0 ? `${count(p.lag_held)} held by transactions` : ''].filter(Boolean).join('; ') },
  ], all.slice(0, mostRows), p => `${p.topic}/${p.partition}`);
  const none = $('partitions-none');
  none.hidden = all.length > 0 && all.length <= mostRows;
  say(none, all.length > mostRows ? `… and ${all.length - mostRows} more, which are less far behind.` : 'The source has none, or none is assigned.');
}

/** why shows what keeps marks from moving. */
export function why(holds) {
  const all = holds.slice(0, 50);
  sync($('why'), all, w => w.lane, () => h('li', {}, h('b'), h('span')), (e, w) => {
    say(e.firstChild, w.lane);
    say(e.lastChild, w.says.startsWith(w.lane) ? w.says.slice(w.lane.length) : ' ' + w.says); // which mostly begins with it
  });
  $('why-none').hidden = all.length > 0;
}

/** errors shows what has failed by its type, with an example of each. */
export function errors(all, filter = () => true, to = $('errors'), none = $('errors-none')) {
  const some = all.filter(filter).toSorted((a, b) => b.count_total - a.count_total);
  table(to, [
    { head: 'part', text: e => e.step },
    { head: 'type', text: e => e.error_type },
    { head: 'attempts', as: n, text: e => count(e.count_total) },
    { head: 'last example', as: 'long', text: e => e.sample_message },
    { head: 'of', text: e => e.sample_topic ? `${e.sample_topic}/${e.sample_partition}@${e.sample_offset}` : unknown },
    { head: 'at', fill: (cell, e) => {
      say(cell, clock(new Date(e.sample_time)));
      cell.title = utc(new Date(e.sample_time));
    } },
  ], some, e => e.step + '\n' + e.error_type);
  none.hidden = some.length > 0;
}
