// Small helpers that every page's script shares.

export const one = (selector, within = document) => within.querySelector(selector);
export const all = (selector, within = document) => [...within.querySelectorAll(selector)];

/** Fills `{name}` in a text of the catalogue. */
export const fill = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

/** Shows or hides without touching what is inside. */
export function show(element, shown) {
  if (element) element.hidden = !shown;
}

/** Sets text only when it differs, so that live regions speak once. */
export function put(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

/** `1:02:03` */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n) => String(n).padStart(2, '0');
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** A call of our API; throws a Problem with the server's `code` and `detail`. */
export async function call(method, path, body) {
  const headers = { Accept: 'application/json', 'X-CSRF-Token': one('meta[name=csrf]')?.content ?? '' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const answer = response.status === 204 ? null : await response.json().catch(() => null);
  if (!response.ok) throw new Problem(response.status, answer);
  return answer;
}

export class Problem extends Error {
  constructor(status, answer) {
    super(answer?.detail ?? answer?.title ?? String(status));
    this.status = status;
    this.code = answer?.code;
    this.field = answer?.field;
  }
}

/** Server-sent events by name; EventSource reconnects by itself, except after an HTTP error, which is tried again here. */
export function listen(address, handlers, { onLost, onBack } = {}) {
  let source;
  let timer;
  let stopped = false;
  const open = () => {
    source = new EventSource(address);
    source.onopen = () => onBack?.();
    source.onerror = () => {
      onLost?.();
      if (source.readyState === EventSource.CLOSED && !stopped) timer = setTimeout(open, 3000);
    };
    // Whoever may not see it any more is told why by the page itself, asked for anew.
    source.addEventListener('gone', () => location.reload());
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
    }
  };
  open();
  return () => { stopped = true; clearTimeout(timer); source.close(); };
}
