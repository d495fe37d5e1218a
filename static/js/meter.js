// The level meter on the preview's edge: two bars from −60 dB to 0, a line that holds the peak.
import { all, fill } from './page.js';

const FLOOR = -60;
const HOLD_MS = 1500;
const share = (db) => Math.min(1, Math.max(0, (db - FLOOR) / -FLOOR));

export class Meter {
  constructor(element, unit) {
    this.element = element;
    this.unit = unit;
    this.bars = all('[data-bar]', element).map((bar) => ({ fill: bar.children[0], peak: bar.children[1], held: 0, at: 0 }));
  }

  show({ rms_db: rms, peak_db: peak }) {
    const now = performance.now();
    this.bars.forEach((bar, i) => {
      const level = share(rms[i] ?? rms[0] ?? FLOOR);
      const top = share(peak[i] ?? peak[0] ?? FLOOR);
      if (top >= bar.held || now - bar.at > HOLD_MS) Object.assign(bar, { held: top, at: now });
      bar.fill.style.transform = `scaleY(${level})`;
      bar.peak.style.bottom = `${bar.held * 100}%`;
    });
    this.speak(Math.round(Math.max(FLOOR, ...peak)), now);
  }

  /** Screen readers get a number a second, not ten. */
  speak(level, now) {
    if (now - (this.spokenAt ?? 0) < 1000) return;
    this.spokenAt = now;
    this.element.setAttribute('aria-valuenow', level);
    this.element.setAttribute('aria-valuetext', fill(this.unit, { level }));
  }

  clear() {
    this.show({ rms_db: [FLOOR], peak_db: [FLOOR] });
  }
}
