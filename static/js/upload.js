// /studio/upload: sends files in pieces, several one after the other, and goes on where it stopped. What has come is the server's to say.
import { Upload } from 'tus-js-client';
import { all, fill, one, put, show } from './page.js';

const root = one('[data-upload]');
const texts = JSON.parse(root.dataset.texts);
const zone = one('[data-drop]');
const input = one('#file');
const dialog = one('[data-cancel-dialog]');
const locale = document.documentElement.lang;

/** Files that are sent at the same time; the others wait. */
const AT_ONCE = 2;
/** Bytes of a request: what it brought is on the box's disk when it is answered. */
const PIECE = 32 * 2 ** 20;
/** Between two tries, ms: for most of an hour. */
const WAITS = [0, 1000, 2000, 5000, ...Array(300).fill(10_000)];
/** The speed is that of the last few seconds, ms. */
const LOOK_BACK = 8000;
const ACTIVE = ['starting', 'sending', 'lost'];

const sendings = new Set();

// What is said

function size(bytes) {
  const [unit, name] = [[1e12, 'TB'], [1e9, 'GB'], [1e6, 'MB'], [1e3, 'kB']].find(([least]) => bytes >= least) ?? [1e3, 'kB'];
  const value = bytes / unit;
  return `${new Intl.NumberFormat(locale, { maximumFractionDigits: value < 100 ? 1 : 0 }).format(value)} ${name}`;
}

function left(seconds) {
  const minutes = Math.round(seconds / 60);
  if (seconds < 45) return texts.leftSoon;
  if (minutes <= 1) return texts.leftMinute;
  if (minutes < 60) return fill(texts.leftMinutes, { minutes });
  return fill(texts.leftHours, { hours: Math.floor(minutes / 60), minutes: minutes % 60 });
}

/** The server's word for what it refused; none where nothing was answered. */
function wordOf(error) {
  try { return JSON.parse(error.originalResponse.getBody()).code; } catch { return undefined; }
}

const statusOf = (error) => error.originalResponse?.getStatus() ?? 0;

// One file

class Sending {
  constructor(file) {
    this.file = file;
    this.sent = 0;
    this.row = one('[data-row]').content.firstElementChild.cloneNode(true);
    put(one('[data-name]', this.row), file.name);
    for (const place of all('[data-of]', this.row)) put(place, file.name);
    one('progress', this.row).max = Math.max(1, file.size);
    one('[data-turn]', this.row).addEventListener('click', () => this.turn());
    one('[data-cancel]', this.row).addEventListener('click', () => this.ask());
    one('[data-live]').append(this.row);
    this.upload = new Upload(file, {
      endpoint: new URL('/api/v1/uploads', location.href).href,
      headers: { 'X-CSRF-Token': one('meta[name=csrf]').content },
      metadata: { filename: file.name, filetype: file.type },
      chunkSize: PIECE, retryDelays: WAITS, removeFingerprintOnSuccess: true,
      onUploadUrlAvailable: () => this.found(),
      onProgress: (sent) => this.progress(sent),
      onShouldRetry: (error) => this.again(error),
      onError: (error) => this.fail(error),
      onSuccess: () => { this.draw(file.size); this.set('done', texts.done); },
    });
    this.set('waiting', texts.waiting);
    this.draw(0);
    if (file.size === 0) this.refuse('upload_empty');
    else if (file.size > texts.most) this.refuse('upload_too_large');
  }

  set(state, said = '') {
    this.state = state;
    this.row.dataset.state = state;
    put(one('[data-said]', this.row), said);
    if (state !== 'sending') this.seen = [];
    if (!ACTIVE.includes(state)) this.draw(this.sent);
    next();
  }

  async start() {
    this.set('starting', texts.starting);
    const before = await this.upload.findPreviousUploads();
    const [newest] = before.sort((a, b) => Date.parse(b.creationTime) - Date.parse(a.creationTime));
    if (this.state !== 'starting') return;
    if (newest && !this.upload.url) this.upload.resumeFromPreviousUpload(newest);
    this.upload.start();
  }

  /** It has an address: what the page said of it before is this row's from now on. */
  found() {
    one(`[data-unfinished="${this.upload.url.split('/').pop()}"]`)?.remove();
  }

  progress(sent) {
    if (this.state === 'starting' || this.state === 'lost') this.set('sending');
    if (this.state !== 'sending') return;
    const now = performance.now();
    this.seen = this.seen.filter(({ at, bytes }) => now - at < LOOK_BACK && bytes <= sent);
    this.seen.push({ at: now, bytes: sent });
    this.draw(sent);
  }

  draw(sent) {
    this.sent = sent;
    const { size: total } = this.file;
    one('progress', this.row).value = sent;
    const percent = new Intl.NumberFormat(locale, { style: 'percent' }).format(Math.floor(100 * sent / Math.max(1, total)) / 100);
    const said = this.state === 'done' || this.refused ? [size(total)] : [percent, fill(texts.progress, { arrived: size(sent), total: size(total) })];
    const [first] = this.seen;
    const seconds = first ? (performance.now() - first.at) / 1000 : 0;
    const speed = seconds > 1 ? (sent - first.bytes) / seconds : 0;
    if (speed > 0) said.push(fill(texts.speed, { speed: size(speed) }), left((total - sent) / speed));
    put(one('[data-numbers]', this.row), said.join(' · '));
  }

  /** What a lost connection or a busy box asks for is tried again; what was refused is not. */
  again(error) {
    const status = statusOf(error);
    const method = error.originalRequest.getMethod();
    const passing = status === 0 || status >= 500 || [408, 409, 423, 429].includes(status);
    const final = method === 'POST' && [409, 507].includes(status);
    if (method === 'DELETE') return status === 0 || status === 423;
    if (!passing || final) return false;
    this.set('lost', (status === 507 && texts.problems[wordOf(error)]) || texts.lost);
    return true;
  }

  fail(error) {
    this.ended = statusOf(error) === 401;
    // What is not there any more cannot be gone on with.
    if (statusOf(error) === 404) this.upload.url = null;
    this.set('failed', texts.problems[wordOf(error)] ?? texts.failed);
  }

  refuse(word) {
    this.refused = true;
    show(one('[data-turn]', this.row), false);
    this.set('failed', texts.problems[word]);
  }

  /** The button that pauses, goes on, or tries again. */
  turn() {
    if (this.state === 'paused' || this.state === 'failed') {
      // After signing in again, the file goes on where it stopped.
      if (this.ended) location.reload();
      else this.set('waiting', texts.waiting);
      return;
    }
    this.upload.abort();
    this.set('paused', texts.paused);
  }

  /** At once, and not at the end of the wait. */
  hurry() {
    if (this.state !== 'lost') return;
    this.upload.abort();
    this.upload.start();
  }

  ask() {
    if (this.refused) { this.leave(); return; }
    put(one('[data-cancel-title]'), fill(texts.question, { name: this.file.name }));
    dialog.returnValue = '';
    dialog.onclose = () => { if (dialog.returnValue === 'cancel') this.cancel(); };
    dialog.showModal();
  }

  async cancel() {
    try {
      await this.upload.abort(true);
    } catch (error) {
      if (statusOf(error) !== 404) { this.fail(error); return; }
    }
    this.leave();
  }

  leave() {
    sendings.delete(this);
    this.row.remove();
    input.focus();
    frame();
    next();
  }
}

// All of them

function next() {
  const running = [...sendings].filter(({ state }) => ACTIVE.includes(state)).length;
  const waiting = [...sendings].filter(({ state }) => state === 'waiting');
  for (const sending of waiting.slice(0, Math.max(0, AT_ONCE - running))) sending.start();
}

function frame() {
  show(one('[data-sending]'), sendings.size > 0 || all('[data-unfinished]').length > 0);
}

function add(files) {
  const same = (a, b) => a.name === b.name && a.size === b.size && a.lastModified === b.lastModified;
  for (const file of files) {
    const known = [...sendings].find((sending) => sending.state !== 'done' && same(sending.file, file));
    if (!known) sendings.add(new Sending(file));
  }
  frame();
  next();
}

input.multiple = true;
input.required = false;
input.classList.add('unseen');
for (const plain of all('[data-plain]', zone)) plain.remove();
show(one('[data-choose]'), true);

input.addEventListener('change', () => {
  add(input.files);
  input.value = '';
});
zone.addEventListener('submit', (event) => event.preventDefault());

// A file that is dropped beside the place would else open in the page's stead.
addEventListener('dragover', (event) => {
  event.preventDefault();
  zone.classList.add('over');
});
addEventListener('dragleave', (event) => { if (!event.relatedTarget) zone.classList.remove('over'); });
addEventListener('drop', (event) => {
  event.preventDefault();
  zone.classList.remove('over');
  const folder = (item) => item.webkitGetAsEntry?.()?.isDirectory;
  add([...event.dataTransfer.items].filter((item) => item.kind === 'file' && !folder(item)).map((item) => item.getAsFile()));
});

addEventListener('online', () => sendings.forEach((sending) => sending.hurry()));
addEventListener('beforeunload', (event) => {
  if ([...sendings].some(({ state }) => ACTIVE.includes(state))) event.preventDefault();
});
