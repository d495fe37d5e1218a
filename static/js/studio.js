// /studio: preview, checks, going live, being on air, ending. The server's status events are the only truth.
import { all, call, clock, fill, listen, one, put, show } from './page.js';
import { copyFrom } from './copy.js';
import { Preview } from './preview.js';

const root = one('[data-studio]');
const texts = JSON.parse(root.dataset.texts);
const form = one('[data-prepare]');
const go = one('[data-go]');
const microphones = one('#microphone');
const preview = new Preview(root, texts);
const locale = document.documentElement.lang;
/** Room below this is a warning. Seconds. */
const LITTLE_ROOM = 3600;

let airs = new Map(all('[data-air]').filter((card) => card.dataset.air).map((card) => [card.dataset.air, card]));
let another = !form.hidden && airs.size > 0;
let lastStatus = null;
let stopListening;
let heard;

// What is said

function length(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  const hours = Math.floor(seconds / 3600);
  return hours >= 1 ? `${hours} ${texts.hours}` : `${Math.floor(seconds / 60)} ${texts.minutes}`;
}

function rate(bitsPerSecond) {
  return `${new Intl.NumberFormat(locale, { maximumFractionDigits: 1 }).format(bitsPerSecond / 1e6)} Mbit/s`;
}

function check(name, is, text) {
  const row = one(`[data-check=${name}]`);
  row.dataset.is = is;
  put(one('[data-check-text]', row), text);
}

function checks(connected) {
  const { checks: say } = texts;
  check('network', connected ? 'good' : 'bad', connected ? say.networkOk : say.networkBad);
  check('picture', preview.picture ? 'good' : 'waiting', preview.picture ? say.pictureOk : say.pictureBad);
  const loud = preview.loudest;
  if (loud > -1) check('sound', 'bad', say.soundLoud);
  else if (loud > -40) check('sound', 'good', say.soundOk);
  else if (loud > -55) check('sound', 'bad', say.soundQuiet);
  else check('sound', 'waiting', say.soundNone);
  const left = lastStatus?.disk_left_s;
  if (left === null || left === undefined) check('disk', 'waiting', say.waiting);
  else if (left < LITTLE_ROOM) check('disk', 'bad', fill(say.diskLow, { time: length(left) }));
  else check('disk', 'good', fill(say.diskOk, { time: length(left) }));
}

// Sources

const chosen = () => one('input[name=source]:checked', form)?.value;
/** People or screen text. */
const shown = () => one('input[name=content]:checked', form)?.value ?? '';

function drawSources(sources) {
  const list = one('[data-sources]');
  const known = new Map(all('[data-source]', list).map((row) => [row.dataset.source, row]));
  for (const [id, row] of known) if (!sources.some((source) => source.id === id)) row.remove();
  for (const source of sources) {
    const row = known.get(source.id) ?? list.appendChild(sourceRow(source.id));
    put(row.children[1].children[0], source.label || texts.testLabel);
    put(row.children[1].children[1], aboutSource(source));
    row.toggleAttribute('data-untouched', source.needs_no_encoding);
    drawMicrophones(source);
  }
  show(one('[data-no-sources]'), sources.length === 0);
  if (!chosen() && sources.length) one('input[name=source]', form).checked = true;
  go.disabled = sources.length === 0 || going;
  choose();
}

function aboutSource(source) {
  const [best] = source.formats;
  return [texts.kinds[source.kind], best && fill(texts.format, best), source.needs_no_encoding && texts.untouched, !source.ready && texts.notReady]
    .filter(Boolean).join(' · ');
}

function sourceRow(id) {
  const row = Object.assign(document.createElement('label'), { className: 'choice' });
  row.dataset.source = id;
  const input = Object.assign(document.createElement('input'), { type: 'radio', name: 'source', value: id, required: true });
  const words = document.createElement('span');
  words.append(document.createElement('span'), Object.assign(document.createElement('span'), { className: 'quiet' }));
  row.append(input, words);
  return row;
}

/** A source's microphones in the order in which they are told, its own first; no sound comes last. */
function drawMicrophones({ id, microphones: list = [] }) {
  const known = new Map(all('option', microphones).filter((option) => option.dataset.of === id).map((option) => [option.value, option]));
  if ([...known.keys()].join() === list.map((one) => one.id).join()) return;
  const kept = microphones.selectedOptions[0];
  for (const option of known.values()) option.remove();
  for (const { id: value, label } of list) {
    const option = known.get(value) ?? new Option(label, value);
    option.dataset.of = id;
    microphones.insertBefore(option, one('option:not([data-of])', microphones));
  }
  if (kept?.isConnected) kept.selected = true;
  else microphones.selectedIndex = -1;
}

/** Follows the form's choice, or the broadcast's source while on air. */
function choose() {
  const onAir = [...airs.values()][0];
  const source = form.hidden ? onAir?.dataset.source : chosen();
  offerMicrophones(source);
  // What is sent as it is, is as it is.
  show(one('[data-contents]'), !one('input[name=source]:checked', form)?.closest('[data-source]')?.hasAttribute('data-untouched'));
  const microphone = form.hidden ? '' : microphones.value;
  const content = form.hidden ? '' : shown();
  preview.choose(source, microphone, content);
  follow(source ?? '', microphone, content);
}

/** Two cameras may offer the same microphone, so options are told apart by themselves and not by their values. */
function offerMicrophones(source) {
  const options = all('option', microphones);
  const own = options.filter((option) => source && option.dataset.of === source);
  for (const option of options) option.hidden = option.disabled = own.length === 0 || (Boolean(option.dataset.of) && !own.includes(option));
  show(one('[data-microphones]'), own.length > 0);
  if (!(microphones.selectedOptions[0]?.disabled ?? true)) return;
  if (own.length) own[0].selected = true;
  else microphones.selectedIndex = -1;
}

function follow(source, microphone, content) {
  const which = new URLSearchParams({ source, ...(microphone ? { microphone } : {}), ...(content ? { content } : {}) }).toString();
  if (which === heard) return;
  heard = which;
  stopListening?.();
  stopListening = listen(`/studio/events?${which}`, {
    status: onStatus,
    level: (level) => preview.onLevel(level),
    preview: (news) => preview.onPreview(news),
  }, { onLost, onBack: () => checks(true) });
}

// Status

function onStatus(status) {
  lastStatus = status;
  drawAirs(status.broadcasts);
  drawSources(status.sources);
  checks(true);
}

function onLost() {
  checks(false);
  for (const card of airs.values()) health(card, 'lost');
}

function drawAirs(broadcasts) {
  const running = broadcasts.filter(({ state }) => state === 'starting' || state === 'live');
  const list = one('[data-air-list]');
  const now = new Map();
  for (const broadcast of running) {
    const card = airs.get(broadcast.id) ?? list.appendChild(newCard(broadcast.id));
    drawAir(card, broadcast);
    now.set(broadcast.id, card);
  }
  for (const [id, card] of airs) if (!now.has(id)) gone(id, card);
  if (now.size !== airs.size && now.size > 0 && !another) form.hidden = true;
  airs = now;
  frame();
  takeFocus();
}

function frame() {
  const onAir = airs.size > 0;
  if (!onAir) { another = false; form.hidden = false; }
  document.body.classList.toggle('is-on-air', onAir);
  show(one('[data-airs]'), onAir);
  show(one('[data-another-row]'), onAir && form.hidden);
}

function newCard(id) {
  const card = one('[data-air-blank]').content.firstElementChild.cloneNode(true);
  card.dataset.air = id;
  one('[data-air-end]', card).action = `/studio/broadcasts/${id}/end`;
  one('[data-air-link]', card).href = `/watch/${id}`;
  return card;
}

function drawAir(card, air) {
  card.dataset.source = air.source;
  card.dataset.title = air.title;
  put(one('[data-air-state]', card), air.state === 'live' ? texts.live : texts.starting);
  put(one('[data-air-title]', card), air.title);
  put(one('[data-air-elapsed]', card), clock(air.elapsed_s));
  put(one('[data-air-viewers]', card), String(air.viewers));
  put(one('[data-air-bitrate]', card), rate(air.bitrate_bps ?? 0));
  put(one('[data-air-dropped]', card), String(air.frames_dropped ?? 0));
  put(one('[data-air-disk]', card), length(lastStatus.disk_left_s));
  show(one('[data-air-pin-row]', card), Boolean(air.pin));
  if (air.pin) put(one('[data-air-pin]', card), air.pin);
  show(one('[data-air-unrecorded]', card), !air.recorded);
  health(card, air.health, texts.problems[air.reason] ?? (air.most_lines ? `(${air.most_lines}p)` : ''));
}

function health(card, is, why = '') {
  const line = one('[data-air-health]', card);
  line.dataset.airHealth = is;
  put(one('[data-air-words]', line), `${texts.health[is] ?? ''} ${why}`.trim());
}

/** The broadcasts that were begun and ended on this page: what comes of them takes the focus of the button that is gone. */
let [begun, ended] = ['', ''];

function takeFocus() {
  const card = airs.get(begun);
  if (!card) return;
  begun = '';
  one('[data-air-title]', card).focus();
}

function gone(id, card) {
  card.remove();
  const done = one('[data-done]');
  const recorded = one('[data-air-unrecorded]', card).hidden;
  put(one('[data-done-text]', done), recorded ? texts.ended : texts.endedUnrecorded);
  one('[data-done-link]', done).href = `/watch/${id}`;
  show(done, true);
  if (id === ended) one('[data-done-link]', done).focus();
}

// Going live

let going = false;

function problem(text) {
  const place = one('[data-problem]');
  put(one('span', place), text);
  show(place, text !== '');
}

function fieldProblem(field, text) {
  const input = form.elements[field];
  const place = one(`#${field}-error`);
  if (!input || !place) return false;
  input.setAttribute('aria-invalid', 'true');
  put(one('span', place), text);
  show(place, true);
  input.focus();
  return true;
}

function clearProblems() {
  problem('');
  show(one('[data-no-room]'), false);
  for (const field of ['title', 'description']) {
    form.elements[field].removeAttribute('aria-invalid');
    show(one(`#${field}-error`), false);
  }
}

/** The catalogue's sentence for what the server refused; its own is English. */
function say(error, otherwise = texts.failed) {
  return texts.problems[error.code] ?? otherwise;
}

function busy(is) {
  going = is;
  go.disabled = is;
  put(one('span', go), is ? texts.goingLive : texts.goLive);
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  if (going) return;
  clearProblems();
  busy(true);
  show(one('[data-done]'), false);
  const { source, microphone, content, title, description, audience } = Object.fromEntries(new FormData(form));
  // The answer to there being no room; the large button asks again.
  const answer = event.submitter?.name;
  const record = answer === 'record' ? 'if_room' : 'required';
  try {
    if (answer === 'free_trash') await call('DELETE', '/api/v1/trash');
    const made = await call('POST', '/api/v1/broadcasts', { source, title, description, audience, record, content, ...(microphone ? { microphone } : {}) });
    another = false;
    form.hidden = true;
    begun = made.id;
    takeFocus();
  } catch (error) {
    const text = say(error);
    if (error.code === 'no_room') show(one('[data-no-room]'), true);
    if (!error.field || !fieldProblem(error.field, text)) problem(text);
  } finally {
    busy(false);
  }
});

form.addEventListener('change', (event) => { if (['source', 'microphone', 'content'].includes(event.target.name)) choose(); });

one('[data-no-room-cancel]').addEventListener('click', (event) => {
  event.preventDefault();
  clearProblems();
});

one('[data-another]').addEventListener('click', (event) => {
  event.preventDefault();
  another = true;
  form.hidden = false;
  frame();
  choose();
  one('input[name=source]', form)?.focus();
});

// Ending

const dialog = one('[data-end-dialog]');

root.addEventListener('submit', (event) => {
  const ending = event.target.closest('[data-air-end]');
  if (!ending) return;
  event.preventDefault();
  const card = ending.closest('[data-air]');
  put(one('[data-end-title]'), fill(texts.endQuestion, { title: one('[data-air-title]', card).textContent }));
  dialog.returnValue = '';
  dialog.onclose = () => { if (dialog.returnValue === 'end') end(card); };
  dialog.showModal();
});

async function end(card) {
  const button = one('[data-air-end] button', card);
  const words = one('span', button);
  button.disabled = true;
  put(words, texts.ending);
  ended = card.dataset.air;
  try {
    await call('POST', `/api/v1/broadcasts/${card.dataset.air}/end`, {});
  } catch (error) {
    // Someone else may have ended it; the next status tells.
    problem(say(error, texts.health.lost));
    button.disabled = false;
    put(words, texts.end);
  }
}

root.addEventListener('click', (event) => {
  const button = event.target.closest('[data-air-copy]');
  if (button) copyFrom(button, one('[data-air-link]', button.closest('[data-air]')).href);
});

checks(false);
choose();
