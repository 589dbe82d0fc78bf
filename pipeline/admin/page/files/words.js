// Figures and times as people read them. What is not known is a dash.

export const unknown = '–';

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

export function count(n) {
  if (!Number.isFinite(n)) return unknown;
  if (n >= 1e9) return (n / 1e9).toFixed(2) + 'G';
  if (n >= 1e7) return (n / 1e6).toFixed(1) + 'M';
  return grouped.format(n);
}

/** size writes a number of bytes. */
export function size(n) {
  if (!Number.isFinite(n)) return unknown;
  let unit = 'B';
  for (const next of ['kB', 'MB', 'GB', 'TB']) {
    if (n < 999.5) break; // else it would be written with four places
    [n, unit] = [n / 1000, next];
  }
  return (unit === 'B' || n >= 99.95 ? n.toFixed(0) : n.toFixed(1)) + ' ' + unit;
}

/** lagIn gives how a lag is written: in bytes of files that are followed, else in records. */
export const lagIn = unit => unit === 'bytes' ? size : count;

/** lagSeries is the series of a chart of lag, and how its values are written. */
export const lagSeries = unit => [{ lag: unit === 'bytes' ? unit : 'records' }, lagIn(unit)];

export function rate(n) {
  if (!Number.isFinite(n)) return unknown;
  if (n === 0) return '0';
  if (n < 1) return n.toFixed(2);
  return n < 10 ? n.toFixed(1) : count(n);
}

export function percent(share) {
  return Number.isFinite(share) ? Math.round(share * 100) + ' %' : unknown;
}

/** took writes how long something took, given in milliseconds. */
export function took(ms) {
  if (!Number.isFinite(ms)) return unknown;
  if (ms < 0.001) return ms === 0 ? '0 ms' : '< 1 µs';
  if (ms < 1) return Math.round(ms * 1000) + ' µs';
  if (ms < 10) return ms.toFixed(1) + ' ms';
  if (ms < 1000) return Math.round(ms) + ' ms';
  if (ms < 10_000) return (ms / 1000).toFixed(1) + ' s';
  return lasting(ms);
}

/** lasting writes a longer time, in milliseconds, in its two largest units. */
export function lasting(ms) {
  if (!Number.isFinite(ms)) return unknown;
  const s = Math.max(0, Math.floor(ms / 1000)), m = Math.floor(s / 60), hours = Math.floor(m / 60), days = Math.floor(hours / 24);
  if (days > 0) return `${days} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${m % 60} min`;
  if (m > 0) return `${m} min ${s % 60} s`;
  return `${s} s`;
}

const clockOf = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const minuteOf = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });

/** clock is a time of the day where the reader is; minute the same without seconds. */
export const clock = at => Number.isFinite(+at) ? clockOf.format(at) : unknown;
export const minute = at => minuteOf.format(at);

/** utc is the whole time, for titles. */
export const utc = at => Number.isFinite(+at) ? new Date(at).toISOString().replace('T', ' ').replace('Z', ' UTC') : '';
