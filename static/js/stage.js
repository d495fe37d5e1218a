// A player with its buttons, words and life: waiting, live, over, played again. Used by /watch, /live and nothing else.
import { addTranslation } from 'media-chrome/utils/i18n';
import { all, fill, listen, one, put, show } from './page.js';
import { createPlayer } from './player.js';

/** Less than this behind the edge counts as live. Seconds. */
const LIVE_WITHIN = 3;

/** Whoever saves data wants to do so the next time too; the rest goes by the link. Storage may be forbidden. */
const SAVER = 'saver';

function remembered() {
  try {
    return localStorage.getItem('quality') === SAVER ? SAVER : 'auto';
  } catch {
    return 'auto';
  }
}

function remember(quality) {
  try {
    if (quality === SAVER) localStorage.setItem('quality', SAVER);
    else localStorage.removeItem('quality');
  } catch { /* Then it holds for this page. */ }
}

/** Whoever reads along does so the next time too, in the same language. */
const captions = {
  get language() {
    try {
      return localStorage.getItem('captions') ?? '';
    } catch {
      return '';
    }
  },
  set language(language) {
    try {
      localStorage.setItem('captions', language);
    } catch { /* Then it holds for this page. */ }
  },
};

export class Stage {
  constructor(root) {
    this.root = root;
    this.texts = JSON.parse(root.dataset.texts);
    this.video = one('video', root);
    this.controls = one('media-controller', root);
    this.state = root.dataset.state;
    this.title = root.dataset.title;
    addTranslation(document.documentElement.lang, this.texts.controls);
    this.bindButtons();
    this.bindCaptions();
    this.bindChapters();
    if (this.state === 'live' || this.state === 'ended') this.play();
    if (this.state !== 'ended' && this.state !== 'failed') this.follow();
    this.draw();
  }

  get live() {
    return this.state === 'live';
  }

  follow() {
    this.stop = listen(this.root.dataset.events, { state: (news) => this.onState(news) });
  }

  onState(news) {
    if (news.title && news.title !== this.title) this.rename(news.title);
    for (const place of all('[data-viewers]')) {
      put(place, news.viewers > 0 ? fill(this.texts.viewers, { n: news.viewers }) : this.texts.noViewers);
    }
    this.mostLines = news.most_lines;
    this.player?.carry(this.mostLines);
    if (news.state === this.state) return;
    const before = this.state;
    this.state = news.state;
    if (this.live) {
      this.say(this.texts.nowLive);
      this.play();
    } else if (this.state === 'ended') this.end(before);
    else if (this.state === 'failed') this.giveUp();
    this.draw();
  }

  rename(title) {
    this.title = title;
    put(one('[data-title]'), title);
    document.title = `${title} · ${this.texts.siteName}`;
  }

  play() {
    if (this.player) return;
    const { src, worker, liveSync } = this.root.dataset;
    const quality = remembered();
    const startAt = this.state === 'ended' ? this.askedFor() : undefined;
    this.player = createPlayer(this.video, { src, worker, startAt, liveSync: Number(liveSync), live: this.live, quality });
    this.player.carry(this.mostLines);
    this.player.addEventListener('heights', ({ detail }) => this.offerQualities(detail.heights));
    this.player.addEventListener('edge', ({ detail }) => this.onEdge(detail));
    this.player.addEventListener('trouble', ({ detail }) => this.hint(detail.what === 'unplayable' ? this.texts.cannotPlay : this.texts.reconnecting));
    this.player.addEventListener('slow', ({ detail }) => show(this.listen, detail.slow));
    this.player.addEventListener('well', () => this.hint(''));
    this.player.addEventListener('over', () => this.onOver());
    this.video.addEventListener('canplay', () => this.begin(), { once: true });
    this.begin();
  }

  /** Where `?t=` wants to begin: seconds, never behind the end; none for the beginning. */
  askedFor() {
    const wanted = Math.min(Number(new URLSearchParams(location.search).get('t')), Number(this.root.dataset.duration) - 1);
    return wanted > 0 ? wanted : undefined;
  }

  async begin() {
    const how = await this.player.start();
    show(this.sound, how !== 'sound');
    put(one('span', this.sound), how === 'blocked' ? this.texts.pressPlay : this.texts.unmute);
  }

  /** Smallest first; what was chosen stays chosen. */
  offerQualities(heights) {
    const { auto, saver, sound, names } = this.texts.quality;
    const name = (height) => fill(names.find(({ from }) => height >= from).name, { lines: height });
    const larger = heights.slice(1).reverse().map((height) => [String(height), name(height)]);
    const small = heights.length > 1 ? [['saver', fill(saver, { lines: heights[0] })]] : [];
    const options = [['auto', auto], ...larger, ...small, ['sound', sound]];
    this.quality.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
    this.quality.value = String(this.player.quality);
    if (this.quality.selectedIndex < 0) this.quality.value = 'auto';
    show(this.quality, true);
  }

  choose(value) {
    remember(value);
    show(one('[data-only-sound]', this.root), value === 'sound');
    show(this.listen, false);
    // Whoever wants nothing but the sound wants to hear it.
    if (value === 'sound') this.video.muted = false;
    this.player.choose(Number(value) || value);
  }

  /** The event that it is over may come before the last part is played; the playlist says the rest. */
  end(before) {
    this.say(this.texts.nowEnded);
    this.stop?.();
    if (before !== 'live') this.play();
    if (this.player && !this.player.following) return;
    if (this.video.ended || !this.video.duration) this.offerReplay();
    else this.video.addEventListener('ended', () => this.offerReplay(), { once: true });
  }

  /** There is nothing to play any more. */
  giveUp() {
    this.stop?.();
    this.player?.destroy();
    this.video.pause();
    show(this.edge, false);
    show(this.sound, false);
    this.hint('');
  }

  onOver() {
    // Of what was not recorded nothing is left to play.
    if (this.state === 'live') this.onState({ state: this.root.dataset.recorded === 'true' ? 'ended' : 'failed' });
    show(this.edge, false);
    this.hint('');
  }

  offerReplay() {
    put(one('[data-curtain-title]', this.root), this.texts.endedTitle);
    put(one('[data-curtain-text]', this.root), this.texts.ended);
    show(this.replay, true);
    show(this.curtain, true);
  }

  replayNow() {
    show(this.curtain, false);
    this.player.toStart();
    this.video.play().catch(() => {});
  }

  onEdge({ behind, following }) {
    const atEdge = following && behind < LIVE_WITHIN;
    show(this.edge, this.live);
    this.edge.classList.toggle('at-edge', atEdge);
    put(one('[data-edge-text]', this.edge), atEdge ? this.texts.live : this.behind(behind));
  }

  behind(seconds) {
    if (seconds < 100) return fill(this.texts.behind, { seconds: Math.max(1, Math.round(seconds)) });
    return fill(this.texts.behindMinutes, { minutes: Math.round(seconds / 60) });
  }

  hint(text) {
    const hint = one('[data-hint]', this.root);
    put(hint, text);
    show(hint, text !== '');
  }

  say(text) {
    put(one('[data-said]'), text);
  }

  bindButtons() {
    this.sound = one('[data-sound]', this.root);
    this.edge = one('[data-edge]', this.root);
    this.curtain = one('[data-curtain]', this.root);
    this.replay = one('[data-replay]', this.root);
    this.quality = one('[data-quality]', this.root);
    this.listen = one('[data-listen]', this.root);
    this.listen.addEventListener('click', () => {
      this.quality.value = 'sound';
      this.choose('sound');
    });
    this.quality.addEventListener('change', () => this.choose(this.quality.value));
    this.sound.addEventListener('click', () => {
      this.video.muted = false;
      this.video.play().catch(() => {});
      show(this.sound, false);
    });
    this.video.addEventListener('volumechange', () => { if (!this.video.muted) show(this.sound, false); });
    this.edge.addEventListener('click', () => {
      this.player.toEdge();
      this.video.play().catch(() => {});
    });
    this.replay.addEventListener('click', () => this.replayNow());
    document.addEventListener('keydown', (event) => this.onKey(event));
  }

  /** Captions of one language have the controls' own button, those of several a list. */
  bindCaptions() {
    // Another kind has the small pictures of the time line.
    const tracks = [...this.video.textTracks].filter((track) => track.kind === 'captions');
    if (!tracks.length) return;
    const list = one('[data-captions]', this.root);
    // It says whether it is on by aria-checked, which a mere button must not have.
    one('media-captions-button', this.root)?.setAttribute('role', 'switch');
    const showing = () => tracks.find((track) => track.mode === 'showing')?.language ?? '';
    const choose = (language) => {
      for (const track of tracks) track.mode = track.language === language ? 'showing' : 'disabled';
    };
    choose(captions.language);
    if (list) {
      list.value = showing();
      list.addEventListener('change', () => choose(list.value));
    }
    this.video.textTracks.addEventListener('change', () => {
      captions.language = showing();
      if (list) list.value = showing();
    });
  }

  /** A chapter's link leads there without loading the page again. */
  bindChapters() {
    const links = all('[data-jump]');
    const at = (link) => Number(link.dataset.jump);
    for (const link of links) {
      link.addEventListener('click', (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey || !this.player) return;
        event.preventDefault();
        show(this.curtain, false);
        this.video.currentTime = at(link);
        this.video.play().catch(() => {});
        this.root.scrollIntoView({ block: 'nearest' });
      });
    }
    this.video.addEventListener('timeupdate', () => {
      const now = links.filter((link) => at(link) <= this.video.currentTime + 0.1).pop();
      for (const link of links) {
        if (link === now) link.setAttribute('aria-current', 'true');
        else link.removeAttribute('aria-current');
      }
    });
  }

  /** Keys work wherever the focus is, except where one types or presses; the controls handle their own. */
  onKey(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || !this.player) return;
    if (event.target.closest('input, textarea, select, button, a, summary, media-controller, [contenteditable]')) return;
    const act = {
      ' ': () => (this.video.paused ? this.video.play().catch(() => {}) : this.video.pause()),
      k: () => (this.video.paused ? this.video.play().catch(() => {}) : this.video.pause()),
      ArrowLeft: () => { this.video.currentTime -= 10; },
      ArrowRight: () => { this.video.currentTime += 10; },
      m: () => { this.video.muted = !this.video.muted; },
      f: () => (document.fullscreenElement ? document.exitFullscreen() : this.controls.requestFullscreen?.()),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  draw() {
    const { state } = this;
    const waiting = state === 'scheduled' || state === 'starting';
    this.root.dataset.state = state;
    if (state === 'failed') {
      put(one('[data-curtain-title]', this.root), this.texts.failedTitle);
      put(one('[data-curtain-text]', this.root), this.texts.failed);
    }
    if (this.replay.hidden) show(this.curtain, waiting || state === 'failed');
    show(one('[data-badge]'), this.live);
    show(one('[data-recording]'), state === 'ended');
    show(one('[data-download]'), state === 'ended');
    for (const place of all('[data-viewers]')) show(place, this.live || state === 'starting');
  }
}
