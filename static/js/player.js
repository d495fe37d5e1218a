// Plays one HLS address in a <video>: live a good half second behind its edge, or a recording. Recovers by itself from
// everything that a restart of the box, a busy Wi-Fi or a lost camera can do. Buttons and words are not its business.
import Hls from 'hls.js';

/** iPhones and iPads stutter when the playback rate changes; iPads call themselves Macs with a touch screen. */
const IOS = /iPad|iPhone|iPod/.test(navigator.userAgent) || (navigator.platform === 'MacIntel' && navigator.maxTouchPoints > 1);

/** Further behind than this, a viewer who follows the broadcast jumps to its edge instead of catching up. Seconds. */
const JUMP = 4;
/** So many waits within so many milliseconds are no picture that anybody can follow. */
const SLOW_WAITS = 4;
const SLOW_MS = 20_000;
const RETRY_FIRST = 500;
const RETRY_MOST = 8000;

/**
 * hls.js takes long to believe that a fast link has become slow, the longer the faster it was. Twice what the best rendition needs is
 * as good as any more.
 */
class Abr extends Hls.DefaultConfig.abrController {
  initEstimator() {
    const estimator = super.initEstimator();
    const sample = estimator.sample.bind(estimator);
    estimator.sample = (ms, bytes) => {
      const most = 2 * Math.max(...this.hls.levels.map((level) => level.maxBitrate));
      sample(Math.max(ms, (8000 * bytes) / most), bytes);
    };
    return estimator;
  }
}

const forEver = (policy) => ({
  default: { ...policy, timeoutRetry: { maxNumRetry: 6, retryDelayMs: 0, maxRetryDelayMs: 0 },
    errorRetry: { maxNumRetry: 12, retryDelayMs: 250, maxRetryDelayMs: 2000, backoff: 'linear' } },
});

/**
 * @param {HTMLVideoElement} video
 * @param {{src: string, worker: string, startAt?: number, liveSync?: number, live?: boolean, follow?: boolean, bufferBehind?: number}} options
 *   startAt: seconds into a recording; liveSync: seconds behind the last published part; follow: whether the viewer starts at the edge; quality: see choose().
 * @returns {Player} events: `edge` (detail {live, behind, following}), `trouble` (detail {what: 'network'|'refused'|'unplayable'}),
 *   `well`, `over` (the playlist has ended), `slow` (detail {slow}: whether the link carries not even the smallest picture),
 *   `heights` (detail {heights}: lines of the renditions, smallest first)
 */
export function createPlayer(video, options) {
  if (Hls.isSupported()) return new HlsPlayer(video, options);
  return new NativePlayer(video, options);
}

class Player extends EventTarget {
  constructor(video, options) {
    super();
    this.video = video;
    this.options = options;
    this.following = options.follow ?? options.live ?? false;
  }

  say(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** Starts, with sound if the browser lets us, else muted. Resolves to 'sound', 'muted' or 'blocked'. */
  async start() {
    const { video } = this;
    for (const muted of video.muted ? [true] : [false, true]) {
      video.muted = muted;
      try {
        await video.play();
        return muted ? 'muted' : 'sound';
      } catch (error) {
        // A new source interrupts play(); it is asked again by whoever set the source.
        if (error.name === 'AbortError') return muted ? 'muted' : 'sound';
      }
    }
    return 'blocked';
  }
}

class HlsPlayer extends Player {
  constructor(video, options) {
    super(video, options);
    this.retryIn = RETRY_FIRST;
    this.liveSync = options.liveSync ?? 0.6;
    this.quality = options.quality ?? 'auto';
    this.mostLines = Infinity;
    this.waits = [];
    this.slow = false;
    this.session = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
    this.open(options.startAt);
    this.pace = setInterval(() => this.keepPace(), 200);
    video.addEventListener('seeking', () => this.onSeeking());
    video.addEventListener('playing', () => { this.begun = true; });
    video.addEventListener('waiting', () => this.onWaiting());
  }

  open(startPosition = -1) {
    const { options } = this;
    const hls = new Hls({
      lowLatencyMode: true,
      liveSyncDuration: this.liveSync,
      // A viewer may rewind to the beginning: never dragged to the edge by hls.js, only by keepPace.
      liveMaxLatencyDuration: Infinity,
      // The rate is ours (keepPace): hls.js waits for a second of buffer before it catches up.
      maxLiveSyncPlaybackRate: 1,
      liveSyncOnStallIncrease: 0.15,
      startPosition,
      backBufferLength: options.bufferBehind ?? 30,
      maxBufferLength: 20,
      maxMaxBufferLength: 60,
      // Gaps at a discontinuity are stepped over instead of waited at.
      maxBufferHole: 0.3,
      nudgeOffset: 0.05,
      nudgeMaxRetry: 20,
      highBufferWatchdogPeriod: 1,
      // A small window or screen needs no more lines than it shows.
      capLevelToPlayerSize: true,
      enableWorker: true,
      workerPath: options.worker,
      abrController: Abr,
      // A part takes a fraction of a second, and there is hardly more to play meanwhile.
      abrEwmaFastLive: 1,
      abrEwmaSlowLive: 4,
      // One viewer, however often the player is built anew.
      cmcd: { useHeaders: true, sessionId: this.session },
      manifestLoadPolicy: forEver({ maxTimeToFirstByteMs: 10000, maxLoadTimeMs: 20000 }),
      playlistLoadPolicy: forEver({ maxTimeToFirstByteMs: 10000, maxLoadTimeMs: 20000 }),
      fragLoadPolicy: forEver({ maxTimeToFirstByteMs: 10000, maxLoadTimeMs: 60000 }),
    });
    this.hls = hls;
    hls.on(Hls.Events.MANIFEST_PARSED, () => this.onManifest());
    hls.on(Hls.Events.LEVEL_UPDATED, (_, { details }) => this.onPlaylist(details));
    hls.on(Hls.Events.FRAG_BUFFERED, () => this.onGood());
    hls.on(Hls.Events.BUFFER_APPENDED, () => this.startAtEdge());
    hls.on(Hls.Events.ERROR, (_, data) => this.onError(data));
    const sound = this.quality === 'sound';
    hls.loadSource(sound ? options.src.replace(/main\.m3u8$/, 'sound/index.m3u8') : options.src);
    hls.attachMedia(this.video);
  }

  onManifest() {
    if (this.quality === 'sound') return;
    this.say('heights', { heights: this.hls.levels.map((level) => level.height) });
    this.pickLevel();
  }

  /** @param {'auto'|'saver'|'sound'|number} quality by the link; the smallest picture; no picture; or lines */
  choose(quality) {
    const sound = (what) => what === 'sound';
    const changes = sound(quality) !== sound(this.quality);
    this.quality = quality;
    if (changes) this.reopen();
    else this.pickLevel();
  }

  /** The box carries no more than so many lines at present; none: all that there are. */
  carry(lines) {
    this.mostLines = lines ?? Infinity;
    this.pickLevel();
  }

  pickLevel() {
    const { hls, quality } = this;
    if (quality === 'sound') return;
    const carried = hls.levels.findLastIndex((level) => level.height <= this.mostLines);
    const all = carried === hls.levels.length - 1;
    hls.capLevelToPlayerSize = all; // which sets the cap as long as it is on
    if (!all) hls.autoLevelCapping = carried;
    const chosen = quality === 'saver' ? 0 : hls.levels.findIndex((level) => level.height === quality);
    const wanted = chosen > carried ? -1 : chosen;
    // What is loaded of a recording lasts for many seconds; live it is hardly one, and throwing it away would be seen.
    if (this.live) hls.loadLevel = wanted;
    else hls.nextLevel = wanted;
  }

  onPlaylist(details) {
    const wasLive = this.live;
    this.live = details.live;
    if (wasLive && !this.live) this.say('over');
    this.onGood();
  }

  onGood() {
    if (!this.inTrouble) return;
    this.inTrouble = false;
    this.retryIn = RETRY_FIRST;
    this.say('well');
  }

  onError(data) {
    if (data.details === Hls.ErrorDetails.BUFFER_STALLED_ERROR) this.stalledAt = performance.now();
    if (!data.fatal) return;
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR) this.onMediaError();
    else this.retry(data);
  }

  /** A decoder that gave up gets a new one; if that does not help, the player is built anew. */
  onMediaError() {
    const now = performance.now();
    const again = now - (this.mediaErrorAt ?? -Infinity) < 5000;
    this.mediaErrorAt = now;
    if (again) this.reopen();
    else this.hls.recoverMediaError();
  }

  /** The box may be restarting: asks again for ever, at growing intervals. */
  retry(data) {
    this.inTrouble = true;
    clearTimeout(this.retryTimer);
    this.retryTimer = setTimeout(() => this.reopen(), this.retryIn);
    this.retryIn = Math.min(this.retryIn * 2, RETRY_MOST);
    this.say('trouble', { what: [401, 403, 404].includes(data.response?.code) ? 'refused' : 'network' });
  }

  reopen(at = this.following ? -1 : this.video.currentTime, playing = !this.video.paused || this.video.ended) {
    this.hls.destroy();
    this.settled = this.begun = false;
    this.open(at);
    if (playing) this.hls.once(Hls.Events.MANIFEST_PARSED, () => this.video.play().catch(() => {}));
  }

  onSeeking() {
    if (this.jumping) { this.jumping = false; return; }
    const edge = this.hls.liveSyncPosition;
    if (!this.live || !edge) return;
    const { currentTime } = this.video;
    if (currentTime > edge - 2) this.following = true;
    // hls.js steps over holes, which is no wish to stay behind.
    else if (currentTime < this.wasAt) this.following = false;
  }

  /** The link does not carry what is loaded: the smallest picture next, and as large as it shows to carry from there. */
  onWaiting() {
    const { hls, video } = this;
    if (!this.live || !this.begun || video.seeking || this.quality === 'sound') return;
    const { edge, partTarget } = hls.latestLevelDetails ?? {};
    const more = edge - video.currentTime - this.ahead() > partTarget;
    if (!more) return; // Whoever is at the edge waits for the box.
    if (hls.loadLevel < 1) this.waits.push(performance.now());
    else if (hls.autoLevelEnabled) {
      hls.bandwidthEstimate = hls.levels[0].maxBitrate;
      // A segment that is under way would be waited for.
      hls.stopLoad();
      hls.startLoad(-1, true);
    }
  }

  /** Tells when the link does not even carry the smallest picture, and when it does again. */
  tellSlow() {
    this.waits = this.waits.filter((at) => performance.now() - at < SLOW_MS);
    const slow = this.waits.length >= SLOW_WAITS;
    if (slow === this.slow) return;
    this.slow = slow;
    this.say('slow', { slow });
  }

  /** Seconds of media behind the playhead's place that are loaded without a hole. */
  ahead() {
    const { buffered, currentTime } = this.video;
    for (let i = 0; i < buffered.length; i++) {
      if (buffered.start(i) <= currentTime + 0.1 && buffered.end(i) > currentTime) return buffered.end(i) - currentTime;
    }
    return 0;
  }

  /** Renditions may not end at the very same instant, and then hls.js can wait for more of one than there will ever be. */
  watchEnd() {
    const { hls, video } = this;
    const { edge } = hls.latestLevelDetails;
    const now = performance.now();
    const stands = !video.paused && !video.ended && !video.seeking && video.currentTime === this.stoodAt;
    const isAll = video.duration - video.currentTime < 3 && edge - video.currentTime - this.ahead() < 0.2;
    if (!stands || !isAll) [this.stoodAt, this.stoodSince] = [video.currentTime, now];
    else if (now - this.stoodSince > 300) hls.trigger(Hls.Events.BUFFER_EOS, {});
  }

  /** Five times a second: stays at the chosen distance from the edge by slightly faster or slower play. */
  keepPace() {
    const { hls, video } = this;
    if (!video.seeking) this.wasAt = video.currentTime;
    this.tellSlow();
    if (this.live === false && hls.latestLevelDetails) this.watchEnd();
    if (!this.live || !hls.latestLevelDetails) {
      if (video.playbackRate !== 1 && this.paced) this.setRate(1);
      return;
    }
    // The wait for one more stall wears off, so that one bad minute does not cost an hour of distance.
    if (this.stalledAt && performance.now() - this.stalledAt > 60000) {
      this.stalledAt = 0;
      hls.targetLatency = this.liveSync;
    }
    const behind = hls.latency - hls.targetLatency;
    this.say('edge', { live: true, behind: Math.max(0, behind), following: this.following });
    if (!this.following || video.paused || video.seeking) { this.setRate(1); return; }
    if ((behind > JUMP && !this.inTrouble) || (this.begun && this.beganLate(behind))) { this.toEdge(); return; }
    this.setRate(IOS ? 1 : rateFor(behind, this.ahead(), this.paced));
  }

  /**
   * While the first pictures load the edge moves on: made good by one jump before they are shown, as soon as enough is there to
   * play behind it. A jump afterwards makes the picture stand still for a moment: that is worth it for more than a second.
   */
  beganLate(behind) {
    if (this.settled) return false;
    const late = behind >= (this.begun ? 1 : 0.25);
    const can = this.ahead() > behind + 0.22;
    this.settled = this.begun && (!late || can);
    return late && can;
  }

  startAtEdge() {
    const edge = this.hls.liveSyncPosition;
    if (this.begun || !this.live || !this.following || edge === null) return;
    if (this.beganLate(edge - this.video.currentTime)) this.toEdge();
  }

  setRate(rate) {
    this.paced = rate !== 1;
    if (Math.abs(this.video.playbackRate - rate) > 0.005) this.video.playbackRate = rate;
  }

  toEdge() {
    const edge = this.hls.liveSyncPosition;
    if (edge === null) return;
    this.following = true;
    this.jumping = true;
    this.video.currentTime = edge;
  }

  toStart() {
    this.following = false;
    const from = this.hls.latestLevelDetails?.fragmentStart ?? 0;
    this.video.currentTime = from;
  }

  destroy() {
    clearInterval(this.pace);
    clearTimeout(this.retryTimer);
    this.hls.destroy();
  }
}

/** Faster when behind and there is something to play, slower when the next part may come too late. */
function rateFor(behind, ahead, already) {
  if (ahead < 0.12) return 0.95;
  // Once begun it goes on to the end, so that the rate does not flutter about its threshold.
  if (behind > (already ? 0.03 : 0.12) && ahead > 0.3) return Math.min(1.1, 1.02 + Math.round(behind * 10) / 50);
  if (behind < -0.1) return 0.97;
  return 1;
}

/** Where there is no Media Source at all (iPhones before 17.1), the system's own player. */
class NativePlayer extends Player {
  constructor(video, options) {
    super(video, options);
    this.retryIn = RETRY_FIRST;
    video.src = options.src;
    if (options.startAt) video.addEventListener('loadedmetadata', () => { video.currentTime = options.startAt; }, { once: true });
    video.addEventListener('error', () => this.retry());
    video.addEventListener('playing', () => { this.retryIn = RETRY_FIRST; this.say('well'); });
    video.addEventListener('durationchange', () => this.onDuration());
    this.pace = setInterval(() => this.report(), 1000);
    if (!video.canPlayType('application/vnd.apple.mpegurl')) queueMicrotask(() => this.say('trouble', { what: 'unplayable' }));
  }

  onDuration() {
    const wasLive = this.live;
    this.live = this.video.duration === Infinity;
    if (wasLive && !this.live) this.say('over');
  }

  report() {
    const { seekable, currentTime } = this.video;
    if (!this.live || !seekable.length) return;
    const behind = Math.max(0, seekable.end(seekable.length - 1) - currentTime - 3);
    this.following = behind < 5;
    this.say('edge', { live: true, behind, following: this.following });
  }

  retry() {
    this.say('trouble', { what: 'network' });
    setTimeout(() => {
      this.video.load();
      this.video.play().catch(() => {});
    }, this.retryIn);
    this.retryIn = Math.min(this.retryIn * 2, RETRY_MOST);
  }

  /** The system's player goes by the link alone. */
  choose() {}

  carry() {}

  toEdge() {
    const { seekable } = this.video;
    if (seekable.length) this.video.currentTime = seekable.end(seekable.length - 1);
  }

  toStart() {
    const { seekable } = this.video;
    this.video.currentTime = seekable.length ? seekable.start(0) : 0;
  }

  destroy() {
    clearInterval(this.pace);
    this.video.removeAttribute('src');
    this.video.load();
  }
}
