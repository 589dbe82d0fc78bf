// What is shown of a pipeline is worked out here, of the frames that the process sends each second: it sends totals, and a
// rate is what they have grown by in the last seconds.

import { lagIn } from './words.js';

const windowMs = 5000;

/** Frames keeps those of the last seconds. */
export class Frames {
  all = [];

  push(frame) {
    const at = Date.parse(frame.pipelines?.[0]?.timestamp ?? '');
    this.all.push({ at, frame });
    while (this.all.length > 2 && this.all[this.all.length - 1].at - this.all[0].at > windowMs) this.all.shift();
  }

  /** clear forgets them: behind a gap, rates begin anew. */
  clear() { this.all = []; }

  get names() { return this.all.at(-1)?.frame.pipelines.map(p => p.pipeline) ?? []; }

  /** of gives what is known of a pipeline; undefined: there is none of this name. */
  of(name) {
    const find = f => f?.frame.pipelines.find(p => p.pipeline === name);
    const now = find(this.all.at(-1));
    return now && viewOf(now, find(this.all[0]) ?? now);
  }
}

function viewOf(now, was) {
  const seconds = (Date.parse(now.timestamp) - Date.parse(was.timestamp)) / 1000;
  const grown = (a, b, total) => seconds > 0 && b ? Math.max(0, (a[total] ?? 0) - (b[total] ?? 0)) / seconds : undefined;
  const rates = (a, b) => ({
    rateIn: grown(a, b, 'records_in_total'), rateOut: grown(a, b, 'records_out_total'), rateFiltered: grown(a, b, 'filtered_total'),
    rateErrors: grown(a, b, 'errors_total'), rateRejected: grown(a, b, 'rejected_total'),
  });
  const held = new Map((now.stalled ?? []).map(s => [s.where, s]));
  const before = (list, key, name) => list?.find(one => one[key] === name);
  const steps = (now.steps ?? []).map(s => ({
    ...s, ...rates(s, before(was.steps, 'step', s.step)), ...shares(s, before(was.steps, 'step', s.step)), id: 'step:' + s.step, role: 'step',
    name: s.step, kind: s.step_kind, latency: s.lat_ms ?? {}, stalled: held.get(s.step), fill: s.queue_cap > 0 ? Math.min(1, s.queue_len / s.queue_cap) : undefined,
  }));
  const sink = (s, role, b) => ({
    ...s, ...rates(s, b), id: role + ':' + s.sink, role, name: s.sink, kind: s.sink_kind, latency: s.write_ms ?? {}, stalled: held.get(s.sink),
  });
  const sinks = (now.sinks ?? []).map(s => sink(s, 'sink', before(was.sinks, 'sink', s.sink)));
  const dead = now.dead_letter && sink(now.dead_letter, 'dead_letter', was.dead_letter);
  const partitions = now.source?.partitions ?? [];
  const ages = partitions.map(p => p.lag_age_ms).filter(Number.isFinite);
  const view = {
    ...now, ...rates(now, was), seconds, steps, sinks, dead, partitions, at: new Date(now.timestamp), source: now.source ?? {},
    lag: now.source?.lag_sum, lagAge: ages.length ? Math.max(...ages) : undefined, e2e: now.e2e_ms ?? {},
  };
  view.parts = [...steps, ...sinks, ...(dead ? [dead] : [])];
  view.over = ['failed', 'stopped'].includes(now.state);
  if (view.over) view.backpressure = view.bottleneck_step = undefined; // nothing flows
  view.is = stateOf(view);
  return view;
}

/** shares are the parts of the last seconds in which the workers of a step were busy, had nothing to do, and could not hand over. */
function shares(now, was) {
  if (!was) return {};
  const grown = name => Math.max(0, now[name] - was[name]);
  const busy = grown('busy_ms_total'), idle = grown('idle_ms_total'), blocked = grown('blocked_ms_total'), all = busy + idle + blocked;
  return all > 0 ? { busy: busy / all, idle: idle / all, blocked: blocked / all } : {};
}

/**
 * stateOf says in a word how it goes, and in a sentence what that means. The word tells a pipeline that has nothing to do
 * from one that does not get on.
 */
function stateOf(v) {
  const is = (state, word, text = '') => ({ state, word, text });
  switch (v.state) {
    case 'starting': return is('waiting', 'starting', 'Nothing is read yet.');
    case 'failed': return is('bad', 'failed', v.error ?? '');
    case 'stopped': return is('ended', 'ended', v.error ?? 'All that was to be read has been read, or it was stopped.');
    case 'draining': return is('waiting', 'draining', `Nothing more is read; ${v.inflight} records are on their way to an end.`);
    case 'paused': return is('waiting', 'paused', `${v.paused_by === 'command' ? 'By a command. ' : v.paused_by ? 'Too many records were rejected. ' : ''}No record begins; ${v.inflight} are in flight.`);
  }
  if (v.stalled?.length) return is('bad', 'stalled', v.stalled[0].says);
  if (v.source.connected === false) return is('bad', 'not connected', v.source.away ?? 'The source is not connected.');
  const still = v.rateIn === 0 && v.rateOut === 0 && v.rateFiltered === 0 && v.rateRejected === 0;
  if (v.rateIn === undefined) return is('good', 'running');
  if (still && v.inflight > 0) return is('waiting', 'waiting', `Nothing has ended in the last ${Math.round(v.seconds)} s, and ${v.inflight} records are in flight.`);
  if (still && v.lag > 0) return is('waiting', 'waiting', `Nothing is read, and the lag is ${lagIn(v.source.lag_unit)(v.lag)}.`);
  if (still) return is('idle', 'idle', 'There is nothing to read.');
  return is('good', 'running');
}
