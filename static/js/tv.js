// /tv: the lobby's screen. Plays what is live, says between broadcasts what comes, and leaves no picture burnt in.
import { listen, one, show } from './page.js';
import { createPlayer } from './player.js';

const { dataset } = document.body;
const video = one('[data-tv-video]');
const corner = one('[data-tv-corner]');
const between = one('[data-tv-between]');
/** The code shows for a while, then gives way to the picture; it moves from corner to corner. */
const CORNERS = ['bottom-right', 'bottom-left', 'top-left', 'top-right'];
const SHOWN_MS = 20_000;
const PAUSE_MS = 100_000;

let player;

function play(id) {
  player?.destroy();
  show(video, true);
  show(between, false);
  player = createPlayer(video, { src: `/media/${id}/main.m3u8`, worker: dataset.worker, live: true, liveSync: 1 });
  player.addEventListener('over', () => video.addEventListener('ended', rest, { once: true }));
  // Hidden, deleted, or for others from now on.
  player.addEventListener('trouble', ({ detail }) => { if (detail.what === 'refused') rest(); });
  player.start();
}

function rest() {
  player?.destroy();
  player = null;
  show(video, false);
  show(between, true);
}

function tick() {
  const now = new Date();
  one('[data-tv-clock]').textContent = new Intl.DateTimeFormat(document.documentElement.lang, { hour: '2-digit', minute: '2-digit', weekday: 'long', day: 'numeric', month: 'long' }).format(now);
  // A pixel or two each minute keeps any edge from burning in.
  const drift = now.getMinutes() % 8;
  between.style.transform = `translate(${(drift - 4) * 6}px, ${((drift * 3) % 8 - 4) * 6}px)`;
}

let turn = 0;
function rotate() {
  corner.dataset.at = CORNERS[turn % CORNERS.length];
  turn += 1;
  corner.classList.add('shown');
  setTimeout(() => { if (player) corner.classList.remove('shown'); }, SHOWN_MS);
  setTimeout(rotate, SHOWN_MS + PAUSE_MS);
}

listen(dataset.events, {
  live: ({ id }) => {
    if (id && id !== dataset.live) { dataset.live = id; play(id); }
    if (!id) dataset.live = '';
  },
});
if (dataset.live) play(dataset.live);
tick();
setInterval(tick, 10_000);
rotate();
navigator.wakeLock?.request('screen').catch(() => {});
