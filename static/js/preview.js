// The studio's preview: picture of one source, its level, and what is to be said about it.
import { all, one, put, show } from './page.js';
import { Meter } from './meter.js';
import { createPlayer } from './player.js';

export class Preview {
  constructor(root, texts) {
    this.root = root;
    this.texts = texts;
    this.video = one('[data-preview]', root);
    this.words = one('[data-screen-text]', root);
    this.meter = new Meter(one('[data-meter]', root), texts.levelUnit);
    this.listen = one('[data-listen]', root);
    this.listen.addEventListener('click', () => this.toggleSound());
    this.video.addEventListener('playing', () => this.onPicture());
    this.loudest = -Infinity;
    this.picture = false;
  }

  /** Shows another source; `running` of the events tells when there is something to play. */
  choose(source, microphone, content) {
    if (source === this.source && microphone === this.microphone && content === this.content) return;
    Object.assign(this, { source, microphone, content, picture: false, loudest: -Infinity });
    this.player?.destroy();
    this.player = null;
    this.meter.clear();
    this.say(source ? this.texts.preview.starting : this.texts.preview.none);
    // Asking for the playlist is what starts the source.
    if (source) this.play();
  }

  play() {
    const { microphone, content } = this;
    const which = new URLSearchParams({ ...(microphone ? { microphone } : {}), ...(content ? { content } : {}) });
    const src = `/studio/preview/${encodeURIComponent(this.source)}/main.m3u8?${which}`;
    this.player = createPlayer(this.video, { src, worker: this.root.dataset.worker, live: true, liveSync: 0.6, bufferBehind: 5 });
    this.player.start();
  }

  onPicture() {
    this.picture = true;
    this.say('');
  }

  onPreview({ source, state, reason }) {
    if (source !== this.source) return;
    if (state === 'running') {
      if (!this.video.paused && this.video.readyState > 2) this.onPicture();
      return;
    }
    this.picture = state === 'audio_lost' && this.picture;
    this.say(`${this.texts.preview[state] ?? ''} ${this.texts.problems[reason] ?? ''}`.trim());
  }

  onLevel(level) {
    if (level.source !== this.source) return;
    this.meter.show(level);
    const now = performance.now();
    const peak = Math.max(...level.peak_db);
    // The loudest of the last five seconds tells whether someone can be heard.
    if (peak >= this.loudest || now - this.loudestAt > 5000) Object.assign(this, { loudest: peak, loudestAt: now });
  }

  say(text) {
    put(this.words, text);
    show(this.words, text !== '');
  }

  /** The speakers beside the microphone would howl, so sound is off until it is asked for. */
  toggleSound() {
    this.video.muted = !this.video.muted;
    const on = !this.video.muted;
    this.listen.setAttribute('aria-pressed', on);
    put(all('span', this.listen)[0], on ? this.texts.stopListening : this.texts.listen);
    if (on) this.video.play().catch(() => {});
  }
}
