// /admin/recordings/{id}/edit: plays the whole recording, and fills in what the form's fields hold. The fields are what counts:
// whatever is pressed here is written there, and undone there.
import { all, call, fill, one, put, show } from './page.js';
import { createPlayer } from './player.js';

const root = one('[data-cutter]');
const form = one('[data-edit-form]');
const texts = JSON.parse(root.dataset.texts);
const whole = Number(root.dataset.whole);
const video = one('video', root);
const seek = one('[data-seek]', root);
const strip = one('[data-strip]', root);
const fields = { kept: one('#kept'), chapters: one('#chapters') };

/** Less than this is nothing, ms. */
const LEAST = 50;

// Times

/** `1:02:03.5`; ms */
function written(ms) {
  const two = (n) => String(n).padStart(2, '0');
  const [h, m, s, rest] = [Math.floor(ms / 3_600_000), Math.floor(ms / 60_000) % 60, Math.floor(ms / 1000) % 60, ms % 1000];
  return `${h ? `${h}:${two(m)}` : m}:${two(s)}${rest ? `.${String(rest).padStart(3, '0').replace(/0+$/, '')}` : ''}`;
}

/** The same to a tenth of a second: more nobody wants to hear. */
const spoken = (ms) => written(Math.round(ms / 100) * 100);

/** None for what is no time; ms */
function read(text) {
  const match = /^(?:(?:(\d+):)?(\d+):)?(\d+(?:[.,]\d+)?)$/.exec(text.trim());
  if (!match) return undefined;
  const [hours, minutes, seconds] = [match[1] ?? 0, match[2] ?? 0, match[3].replace(',', '.')].map(Number);
  return Math.round(((hours * 60 + minutes) * 60 + seconds) * 1000);
}

const now = () => Math.min(whole, Math.round(video.currentTime * 1000));

// What the fields say

function stretches() {
  const lines = fields.kept.value.split('\n').map((line) => line.split(/[-–—]/).map(read));
  return lines.filter(([from, to]) => from !== undefined && to > from);
}

function chapters() {
  const lines = fields.chapters.value.split('\n').map((line) => read(line.trim().split(/\s/)[0]));
  return lines.filter((at) => at !== undefined);
}

const texted = (list) => list.map(([from, to]) => `${written(from)} - ${written(to)}\n`).join('');

const isKept = (ms) => stretches().some(([from, to]) => ms >= from && ms < to);

// What was done, and is undone

const snapshot = () => ({ kept: fields.kept.value, chapters: fields.chapters.value });
const same = (a, b) => a.kept === b.kept && a.chapters === b.chapters;
const saved = snapshot();
let current = saved;
const done = [];
const undone = [];
let sending = false;

/** Notes what the fields hold now as one step. */
function note() {
  const next = snapshot();
  if (same(next, current)) return;
  done.push(current);
  undone.length = 0;
  current = next;
  draw();
}

function step(from, to, words) {
  if (!from.length) return;
  to.push(current);
  current = from.pop();
  for (const name of Object.keys(fields)) fields[name].value = current[name];
  say(words);
  draw();
}

/** Keeps what is left of `list`, unless that is nothing. */
function keep(list, words) {
  const left = list.filter(([from, to]) => to - from >= LEAST);
  if (!left.length) { say(texts.nothing); return; }
  fields.kept.value = texted(left);
  say(words);
  note();
}

// What can be done

let cutFrom;

function setCut(from) {
  cutFrom = from;
  const button = one('[data-do=cut]', root);
  button.setAttribute('aria-pressed', String(from !== undefined));
  put(one('[data-cut-words]', root), from === undefined ? texts.cutFrom : texts.cutTo);
  draw();
}

function cut() {
  if (cutFrom === undefined) {
    setCut(now());
    say(fill(texts.from, { time: spoken(cutFrom) }));
    return;
  }
  const [from, to] = [Math.min(cutFrom, now()), Math.max(cutFrom, now())];
  setCut(undefined);
  keep(
    stretches().flatMap(([a, b]) => [[a, Math.min(b, from)], [Math.max(a, to), b]]),
    fill(texts.cut, { from: spoken(from), to: spoken(to) }),
  );
}

/** The piece that is cut out here is shown again. */
function restore() {
  const at = now();
  const list = stretches().sort(([a], [b]) => a - b);
  if (list.some(([from, to]) => at >= from && at < to)) return;
  const before = list.filter(([, to]) => to <= at);
  const after = list.filter(([from]) => from > at);
  const from = before.pop()?.[0] ?? 0;
  const to = after.shift()?.[1] ?? whole;
  keep([...before, [from, to], ...after], texts.back);
}

function chapter() {
  const at = now();
  const title = `${texts.newChapter} ${chapters().length + 1}`;
  const lines = [...fields.chapters.value.split('\n').filter((line) => line.trim()), `${written(at)} ${title}`];
  lines.sort((a, b) => (read(a.trim().split(/\s/)[0]) ?? 0) - (read(b.trim().split(/\s/)[0]) ?? 0));
  fields.chapters.value = `${lines.join('\n')}\n`;
  note();
  say(fill(texts.chapter, { time: spoken(at) }));
  const end = lines.slice(0, lines.indexOf(`${written(at)} ${title}`) + 1).join('\n').length;
  fields.chapters.focus();
  fields.chapters.setSelectionRange(end - title.length, end);
}

async function picture() {
  say(texts.making);
  try {
    await call('POST', `/api/v1/broadcasts/${root.dataset.id}/thumbnail`, { at_s: now() / 1000 });
    const shown = one('[data-picture]');
    // The address is known to the browser with what it showed before.
    if (shown) shown.src = `${shown.src.split('?')[0]}?${Date.now()}`;
    say(texts.pictureDone);
  } catch (problem) {
    say(texts.problems[problem.code] ?? texts.failed);
  }
}

function go(ms) {
  video.currentTime = Math.max(0, Math.min(whole, ms)) / 1000;
}

const ACTS = {
  back: () => go(now() - 1000),
  forward: () => go(now() + 1000),
  begin: () => keep(stretches().map(([from, to]) => [Math.max(from, now()), to]), fill(texts.begin, { time: spoken(now()) })),
  end: () => keep(stretches().map(([from, to]) => [from, Math.min(to, now())]), fill(texts.end, { time: spoken(now()) })),
  cut,
  restore,
  chapter,
  picture,
  undo: () => step(done, undone, texts.undone),
  redo: () => step(undone, done, texts.redone),
};

// What is shown

function say(words) {
  put(one('[data-said]', root), words);
}

function bar(kind, from, to) {
  const piece = document.createElement('span');
  piece.className = kind;
  piece.style.left = `${(100 * from) / whole}%`;
  piece.style.width = `${(100 * (to - from)) / whole}%`;
  return piece;
}

function draw() {
  const list = stretches();
  const bars = list.map(([from, to]) => bar('kept', from, Math.min(to, whole)));
  const marks = chapters().map((at) => bar('mark', at, at));
  const from = cutFrom === undefined ? [] : [bar('from', cutFrom, cutFrom)];
  strip.replaceChildren(...bars, ...marks, ...from);
  put(one('[data-left]', root), fill(texts.left, { time: spoken(list.reduce((sum, [a, b]) => sum + b - a, 0)) }));
  one('[data-do=undo]', root).disabled = !done.length;
  one('[data-do=redo]', root).disabled = !undone.length;
  drawNow();
}

function drawNow() {
  const at = now();
  const state = isKept(at) ? texts.nowKept : texts.nowCut;
  const words = fill(texts.now, { time: spoken(at), whole: spoken(whole), state });
  if (document.activeElement !== seek || !video.paused) seek.value = at;
  seek.setAttribute('aria-valuetext', words);
  put(one('[data-now]', root), words);
  one('[data-do=restore]', root).disabled = isKept(at);
}

/** What is cut out is not played, unless one goes there. */
let wasAt = 0;
function skip() {
  const at = now();
  const played = !video.paused && !video.seeking && at - wasAt < 1500 && isKept(wasAt) && !isKept(at);
  wasAt = at;
  const next = stretches().map(([from]) => from).filter((from) => from > at).sort((a, b) => a - b)[0];
  if (!played) return;
  if (next === undefined) video.pause();
  else go(next);
}

// Hands

for (const button of all('[data-do]', root)) button.addEventListener('click', () => ACTS[button.dataset.do]());
seek.addEventListener('input', () => go(Number(seek.value)));
video.addEventListener('timeupdate', () => { skip(); drawNow(); });
video.addEventListener('seeked', () => { wasAt = now(); drawNow(); });
for (const field of Object.values(fields)) field.addEventListener('input', note);

const KEYS = { i: 'begin', o: 'end', x: 'cut', r: 'restore', c: 'chapter', ArrowLeft: 'back', ArrowRight: 'forward' };

document.addEventListener('keydown', (event) => {
  if (event.defaultPrevented || event.altKey) return;
  const typing = event.target.closest('textarea, input:not([type=range]), select');
  if (typing) return; // There, keys are the browser's, and so is what undoes them.
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const press = (name) => {
    event.preventDefault();
    const button = one(`[data-do=${name}]`, root);
    if (!button.disabled) ACTS[name]();
  };
  if (event.ctrlKey || event.metaKey) {
    if (key === 'z') press(event.shiftKey ? 'redo' : 'undo');
    if (key === 'y') press('redo');
    return;
  }
  if (key === 'Escape' && cutFrom !== undefined) { setCut(undefined); return; }
  if (key === ',' || key === '.') { event.preventDefault(); go(now() + (key === '.' ? 100 : -100)); return; }
  if (key === ' ' && !event.target.closest('button, a, summary, video')) {
    event.preventDefault();
    if (video.paused) video.play().catch(() => {});
    else video.pause();
    return;
  }
  // The controls of the picture and the time line move by themselves.
  if (key.startsWith('Arrow') && event.target.closest('video, input')) return;
  if (KEYS[key]) press(KEYS[key]);
});

form.addEventListener('submit', () => { sending = true; });
addEventListener('pageshow', () => { sending = false; });
addEventListener('beforeunload', (event) => {
  if (!sending && !same(snapshot(), saved)) event.preventDefault();
});

// The button at the picture's own field has the one at the player.
show(one('[data-picture-form]'), one('#at[aria-invalid=true]') !== null);
show(root, true);
createPlayer(video, { src: root.dataset.src, worker: root.dataset.worker });
draw();
