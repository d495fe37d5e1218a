// The picture's quality: by itself as good as the link and the window allow, or as the viewer chooses, remembered where it saves
// data; switched up and down without a stop of the picture.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { lips, median, noteLips } from './lips.mjs';
import { longestGap, look, moving, notePictures, openBrowser, pictures, rest, untilLines, video, visitor } from './browser.mjs';
import { signedIn, startBox, worker } from './box.mjs';

/** Seconds of switching; the promise is for two minutes. */
const SWITCHING = Number(process.env.SWITCHING_S ?? 20);

let box;
let browser;
let call;

before(async () => {
  box = await startBox({ admin: true, env: { SIARAN_VIDEO_HEIGHT: '480', SIARAN_VIDEO_KBPS: '800', SIARAN_FRAME_RATE: '15' } });
  browser = await openBrowser();
  call = await signedIn(box);
});

after(async () => {
  await browser?.close();
  const code = await box?.stop();
  if (box) assert.equal(code, 0, 'the program stops with 0');
});

const lines = (page) => page.evaluate(() => document.querySelector('video').videoHeight);
const choose = (page, quality) => page.selectOption('[data-quality]', quality);

test('a viewer gets the best picture by itself, can save data or only listen, live and afterwards', async () => {
  const { id } = await call('POST', '/broadcasts', { title: 'Tangga', source: 'test' });
  const { page, complaints } = await visitor(browser, box.url);
  await page.goto(`/watch/${id}`);
  await moving(page, 1);
  await untilLines(page, 480);
  const offered = await page.$$eval('[data-quality] option', (options) => options.map((option) => option.textContent));
  assert.deepEqual(offered, ['Otomatis', 'Sedang · 480p', 'Hemat kuota · 240p', 'Hanya suara']);
  await look(page, 'a player with qualities');

  await choose(page, 'saver');
  await untilLines(page, 240);
  await page.reload();
  await moving(page, 1);
  await untilLines(page, 240);
  await rest(3000);
  assert.equal(await lines(page), 240, 'it is remembered');
  assert.equal(await page.inputValue('[data-quality]'), 'saver');

  await choose(page, 'sound');
  await page.waitForFunction(() => {
    const one = document.querySelector('video');
    return one.videoHeight === 0 && one.currentTime > 1 && !one.paused && one.webkitAudioDecodedByteCount > 0;
  });
  assert.ok(await page.isVisible('[data-only-sound]'));
  await page.waitForSelector('[data-edge].at-edge');
  const { time } = await video(page);
  await page.waitForFunction((from) => document.querySelector('video').currentTime > from + 2, time);

  await choose(page, 'auto');
  await moving(page, 1);
  await untilLines(page, 480);
  assert.ok(await page.isHidden('[data-only-sound]'));

  await call('POST', `/broadcasts/${id}/end`);
  await page.waitForSelector('[data-recording]:not([hidden])');
  // So short a recording is loaded at once: not while the box is busy making its pictures.
  await rest(3000);
  await page.reload();
  await moving(page, 1);
  await untilLines(page, 480);
  // What is chosen shows from the next segment on, and the recording is short.
  const fromTheBeginning = () => page.evaluate(() => {
    const one = document.querySelector('video');
    one.currentTime = 0;
    return one.play();
  });
  await fromTheBeginning();
  await choose(page, 'saver');
  await untilLines(page, 240);
  await fromTheBeginning();
  await choose(page, '480');
  await untilLines(page, 480);
  assert.deepEqual(complaints, []);
});

test('the quality goes up and down every two seconds without a stop', async (context) => {
  const { id } = await call('POST', '/broadcasts', { title: 'Naik turun', source: 'test' });
  const { page, complaints } = await visitor(browser, box.url);
  await page.goto(`/watch/${id}`);
  await moving(page, 2);
  await choose(page, '480');
  await untilLines(page, 480);
  // Whoever touches the page may hear it.
  await page.click('h1');
  if (await page.isVisible('[data-sound]')) await page.click('[data-sound]');
  await noteLips(page);
  await rest(2000);
  await page.evaluate(() => {
    globalThis.stalls = [];
    globalThis.sizes = [];
    const one = document.querySelector('video');
    one.addEventListener('waiting', () => globalThis.stalls.push(one.currentTime));
    one.addEventListener('resize', () => globalThis.sizes.push(one.videoHeight));
  });
  await notePictures(page);
  for (let done = 0; done < SWITCHING; done += 2) {
    await choose(page, done % 4 === 0 ? 'saver' : '480');
    await rest(2000);
  }
  const { stalls, sizes } = await page.evaluate(() => ({ stalls: globalThis.stalls, sizes: globalThis.sizes }));
  const longest = longestGap(await pictures(page));
  context.diagnostic(`${sizes.length} switches in ${SWITCHING} s, ${stalls.length} waits, the picture stood still for ${Math.round(longest)} ms at most`);
  assert.ok(sizes.length >= SWITCHING / 2 - 2, `it switched ${sizes.length} times`);
  // A busy machine has a moment's wait of its own now and then.
  assert.ok(stalls.length <= SWITCHING / 10, `it waited at ${stalls}`);
  assert.ok(longest < 2000, `the picture stood still for ${longest} ms`);
  const behind = (await lips(page)).map((tick) => tick.behind);
  const usual = median(behind);
  const off = behind.map((one) => one - usual);
  const drift = median(behind.slice(-5)) - median(behind.slice(0, 5));
  context.diagnostic(`lips: ${off.map((one) => one.toFixed(0)).join(' ')} ms, drift ${drift.toFixed(0)} ms`);
  assert.ok(behind.length > SWITCHING / 2, `${behind.length} ticks were heard`);
  assert.ok(Math.abs(drift) <= 40, `sound and picture drift by ${drift} ms`);
  // A machine that has other things to do shows or hears one a moment late.
  assert.ok(off.filter((one) => Math.abs(one) > 40).length <= off.length / 5, `out of step: ${off} ms`);
  assert.deepEqual(complaints, []);
  await call('POST', `/broadcasts/${id}/end`);
});

test('a viewer changes over by itself when the box leaves out the largest picture', async (context) => {
  const large = await startBox({ admin: true, env: { SIARAN_VIDEO_HEIGHT: '720' } });
  try {
    const ask = await signedIn(large);
    const { id } = await ask('POST', '/broadcasts', { title: 'Sibuk', source: 'test' });
    const { page, complaints } = await visitor(browser, large.url, { viewport: { width: 1400, height: 900 } });
    await page.goto(`/watch/${id}`);
    await moving(page, 1);
    await untilLines(page, 720);
    await rest(2000);
    await notePictures(page);
    // The encoding worker gets an eighth of the time.
    const busy = worker(large);
    const slowed = setInterval(() => {
      process.kill(busy, 'SIGSTOP');
      setTimeout(() => process.kill(busy, 'SIGCONT'), 140);
    }, 160);
    try {
      await page.waitForFunction(() => [480, 240].includes(document.querySelector('video').videoHeight));
      await page.waitForSelector('[data-edge].at-edge');
      await rest(3000);
    } finally {
      clearInterval(slowed);
      await rest(200);
      process.kill(busy, 'SIGCONT');
    }
    const longest = longestGap(await pictures(page));
    context.diagnostic(`the picture stood still for ${Math.round(longest)} ms at most`);
    assert.ok(longest < 3000, `the picture stood still for ${longest} ms`);
    const { health } = await ask('GET', `/broadcasts/${id}`);
    assert.ok(['busy', 'half_rate'].includes(health), `the studio says so: ${health}`);
    await ask('POST', `/broadcasts/${id}/end`);
    assert.deepEqual(complaints, []);

    // The recording, too, goes on where the largest picture is missing.
    await page.reload();
    await moving(page);
    await page.evaluate(() => { document.querySelector('video').playbackRate = 2; });
    await page.waitForFunction(() => document.querySelector('video').ended, null, { timeout: 60_000 });
    const { time } = await video(page);
    const { duration_s: lasts } = await ask('GET', `/broadcasts/${id}`);
    assert.ok(time > lasts - 0.5, `it ended at ${time} of ${lasts} s`);
  } finally {
    assert.equal(await large.stop(), 0);
  }
});
