// The home page while something is on air: the card's picture moves, quietly, once the page has been read.
import { one } from './page.js';

const saving = navigator.connection?.saveData || matchMedia('(prefers-reduced-motion: reduce)').matches;

async function move(place) {
  const { createPlayer } = await import('./player.js');
  const video = document.createElement('video');
  Object.assign(video, { muted: true, playsInline: true, disableRemotePlayback: true, tabIndex: -1 });
  video.setAttribute('aria-hidden', 'true');
  const player = createPlayer(video, { src: place.dataset.moving, worker: place.dataset.worker, live: true, liveSync: 1.5, bufferBehind: 5 });
  video.addEventListener('playing', () => place.append(video), { once: true });
  player.addEventListener('over', () => location.reload());
  player.start();
  // Nobody looks: no traffic.
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) video.pause();
    else { player.toEdge(); player.start(); }
  });
}

const place = one('[data-moving]');
if (place && !saving) {
  const begin = () => move(place);
  if (document.readyState === 'complete') begin();
  else addEventListener('load', begin);
}
