// Asking the process. The token is typed once, and kept until the window is closed; it goes out as a header, which no
// other site can have a browser send. So the streams are read by fetch: an EventSource sends no headers.

import { $ } from './dom.js';

let token = '';
try {
  token = sessionStorage.getItem('token') ?? '';
} catch {
  // Storage is refused: then it is asked for again after a reload.
}

let asked; // the promise of a token, while it is asked for

/** askForToken opens the dialog, and gives when a token has been typed. */
function askForToken(wrong) {
  asked ??= new Promise(done => {
    $('ask-wrong').textContent = wrong ? 'That is not its token.' : '';
    $('token').value = '';
    $('ask-form').addEventListener('submit', () => {
      token = $('token').value.trim();
      try {
        sessionStorage.setItem('token', token);
      } catch {
        // as above
      }
      asked = undefined;
      done();
    }, { once: true });
    $('ask').showModal();
  });
  return asked;
}

$('ask').addEventListener('cancel', e => e.preventDefault()); // without the token there is nothing to show

/** request asks for a path, with the token. It gives when there is an answer other than that the token is wrong. */
async function request(path, options = {}) {
  for (;;) {
    const sent = token;
    const answer = await fetch(path, {
      ...options, cache: 'no-store', credentials: 'omit', redirect: 'error',
      headers: { ...options.headers, ...(sent ? { Authorization: 'Bearer ' + sent } : {}) },
    });
    if (answer.status !== 401) return answer;
    if (sent === token) await askForToken(sent !== ''); // else another one has asked meanwhile
  }
}

/** json asks for an answer in JSON. */
export async function json(path) {
  const answer = await request(path, { signal: AbortSignal.timeout(20_000) });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error ?? `${answer.status}`);
  return body;
}

const silence = 25_000; // more than two of the comments that a stream sends when it has nothing to say
const pauses = [500, 1000, 2000, 4000];

/** parts takes server-sent events out of the text of a stream. */
export class Parts {
  rest = '';

  /** push adds a text, and gives the events that are whole: name, id, data. */
  push(text) {
    const all = (this.rest + text).split('\n\n');
    this.rest = all.pop();
    return all.map(part => {
      const event = { name: 'message', id: '', data: '' };
      for (const line of part.split('\n')) {
        const colon = line.indexOf(':'), field = line.slice(0, colon), value = line.slice(colon + 1).replace(/^ /, '');
        if (field === 'event') event.name = value;
        else if (field === 'id') event.id = value;
        else if (field === 'data') event.data += (event.data && '\n') + value;
      }
      return event;
    }).filter(e => e.data !== '');
  }
}

/**
 * follow reads a stream, again and again, while the page is visible. got is called with each event, and moved with how it
 * stands: 'live', 'lost' and perhaps why, 'ended' when the process has said that it ends, 'hidden'.
 */
export async function follow(path, got, moved) {
  let last = '', failures = 0;
  for (;;) {
    if (document.hidden) {
      moved('hidden');
      await new Promise(done => document.addEventListener('visibilitychange', done, { once: true }));
      continue;
    }
    const control = new AbortController();
    const hide = () => document.hidden && control.abort();
    document.addEventListener('visibilitychange', hide);
    let ended = false, why = '', timer;
    try {
      const answer = await request(path, { signal: control.signal, headers: last ? { 'Last-Event-ID': last } : {} });
      if (!answer.ok) throw new Error(why = (await answer.json()).error);
      const parts = new Parts(), text = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      moved('live');
      for (;;) {
        timer = setTimeout(() => control.abort(), silence);
        const { value, done } = await text.read();
        clearTimeout(timer);
        if (done) break;
        for (const e of parts.push(value)) {
          failures = 0;
          if (e.id) last = e.id;
          if (e.name === 'end') ended = true;
          else got(e);
        }
      }
    } catch {
      // What it is changes nothing: it is tried again.
    }
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', hide);
    if (document.hidden) continue;
    moved(ended ? 'ended' : 'lost', why);
    await new Promise(done => setTimeout(done, pauses[Math.min(failures++, pauses.length - 1)]));
  }
}
