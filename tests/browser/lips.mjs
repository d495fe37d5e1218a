// Whether lips are in step in the browser: the test pattern burns the wall clock into each picture and ticks at each of its full seconds.
// Everything runs in the page: what it hears comes from the <video> by Web Audio, what it shows by requestVideoFrameCallback.

/** Begins to listen and to look. The page must have been clicked, or it may not sound. */
export function noteLips(page) {
  return page.evaluate(async () => {
    const one = document.querySelector('video');
    const sound = new AudioContext();
    await sound.resume();
    const ear = sound.createScriptProcessor(1024, 2, 1);
    sound.createMediaElementSource(one).connect(ear).connect(sound.destination);
    globalThis.ticks = [];
    let quietSince = 0;
    ear.onaudioprocess = ({ inputBuffer, playbackTime }) => {
      const samples = inputBuffer.getChannelData(0);
      for (let i = 0; i < samples.length; i++) {
        if (Math.abs(samples[i]) < 0.1) continue;
        const at = playbackTime + i / sound.sampleRate;
        if (at - quietSince > 0.2) globalThis.ticks.push(at * 1000);
        quietSince = at;
      }
    };
    // Both clocks at one instant, again and again, as one may run ahead of the other.
    globalThis.clocks = [];
    const note = () => {
      const { contextTime, performanceTime } = sound.getOutputTimestamp();
      globalThis.clocks.push({ heard: contextTime * 1000, now: performanceTime });
    };
    setInterval(note, 250);

    const canvas = new OffscreenCanvas(28, 1);
    const brush = canvas.getContext('2d', { willReadFrequently: true });
    globalThis.shown = [];
    const look = (_, { expectedDisplayTime, width, height, mediaTime }) => {
      // A white, a black and 24 cells of unix milliseconds, one pixel each: the first row, 10 to 22 percent down.
      brush.drawImage(one, 0, height * 0.15, width, height * 0.02, 0, 0, 28, 1);
      const row = brush.getImageData(0, 0, 28, 1).data;
      let ms = 0;
      for (let cell = 2; cell < 26; cell++) ms = ms * 2 + (row[cell * 4] > 128 ? 1 : 0);
      globalThis.shown.push({ at: expectedDisplayTime, ms, mediaTime, lines: height });
      one.requestVideoFrameCallback(look);
    };
    one.requestVideoFrameCallback(look);
  });
}

/**
 * How much later than the pictures around it each tick was heard, in ms, by a constant of the machine's own (its sound card's buffer)
 * more than it was: only its changes tell something.
 * @returns {Promise<{at: number, behind: number, lines: number}[]>}
 */
export async function lips(page) {
  const { ticks, clocks, shown } = await page.evaluate(() => ({ ticks: globalThis.ticks, clocks: globalThis.clocks, shown: globalThis.shown }));
  return ticks.flatMap((tick) => {
    // The sound's clock stands still where the machine has no time for it.
    const near = clocks.filter(({ heard }) => Math.abs(heard - tick) < 2000);
    if (!near.length) return [];
    const at = tick + median(near.map(({ heard, now }) => now - heard));
    const around = shown.filter((picture) => Math.abs(picture.at - at) < 500);
    if (around.length < 5) return [];
    // Of the wall clock only where in its second it is matters. Painted so long before they were shown:
    const shift = median(around.map((picture) => wrap(picture.at - picture.ms - at)));
    return [{ at, behind: -shift, lines: around[0].lines }];
  });
}

/** To within half a second of nothing. */
const wrap = (ms) => ((((ms + 500) % 1000) + 1000) % 1000) - 500;

export function median(numbers) {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
}
