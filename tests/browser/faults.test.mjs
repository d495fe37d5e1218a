// What a viewer sees when the worker dies or hangs in the middle of a broadcast: a short stop, then the picture goes on by
// itself, at the same address, without a reload; and the recording plays over it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { longestGap, moving, notePictures, openBrowser, pictures, rest, video, visitor } from './browser.mjs';
import { signedIn, startBox, until, worker } from './box.mjs';

/** The longest stop of the picture that is promised, ms. */
const PROMISED = 3000;

let box;
let browser;

before(async () => {
  box = await startBox({ admin: true, env: { SIARAN_VIDEO_HEIGHT: '360' } });
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  const code = await box?.stop();
  if (box) assert.equal(code, 0, 'the program stops with 0');
});

/** Breaks something and waits until new pictures have come for four seconds; gives the longest stop in between, ms. */
async function stopOf(box, page, destroy) {
  await notePictures(page);
  await rest(2000);
  const calm = longestGap(await pictures(page));
  const broken = worker(box);
  await destroy(broken);
  await until(() => { const now = worker(box); return now && now !== broken; }, 30_000);
  const back = await page.evaluate(() => performance.now());
  const noted = await until(async () => {
    const all = await pictures(page);
    return all.filter(({ now }) => now > back).length > 60 && all.at(-1).now - back > 4000 && all;
  }, 30_000);
  return { calm, stop: longestGap(noted) };
}

test('a viewer goes on by itself when the worker is killed, and when it hangs', async (context) => {
  const call = await signedIn(box);
  const { id } = await call('POST', '/broadcasts', { title: 'Tahan banting', source: 'test' });
  const { page, complaints } = await visitor(browser, box.url);
  await page.goto(`/watch/${id}`);
  await moving(page, 1);
  await page.evaluate(() => { globalThis.stillTheSame = true; });
  await rest(2000);

  for (const signal of ['SIGKILL', 'SIGSTOP']) {
    const { calm, stop } = await stopOf(box, page, (broken) => process.kill(broken, signal));
    context.diagnostic(`${signal}: the picture stood still for ${Math.round(stop)} ms; before it ${Math.round(calm)} ms at most`);
    assert.ok(stop < PROMISED, `${signal}: the picture stood still for ${stop} ms`);
    const { time, paused } = await video(page);
    await moving(page, time + 1);
    assert.equal(paused, false);
    await page.waitForSelector('[data-edge].at-edge', { state: 'attached' });
    await page.waitForFunction(() => document.querySelector('[data-hint]').hidden);
  }
  assert.ok(await page.evaluate(() => globalThis.stillTheSame), 'no reload');
  assert.equal(new URL(page.url()).pathname, `/watch/${id}`);

  const { gaps, duration_s: lasts } = await call('POST', `/broadcasts/${id}/end`);
  assert.equal(gaps.length, 2);
  await page.waitForSelector('[data-replay]:not([hidden])');
  await page.click('[data-replay]');
  await notePictures(page);
  await page.evaluate(() => { document.querySelector('video').playbackRate = 2; });
  await page.waitForFunction(() => document.querySelector('video').ended, null, { timeout: lasts * 1000 + 10_000 });
  const noted = await pictures(page);
  const stood = longestGap(noted);
  context.diagnostic(`the recording of ${lasts} s with two breaks stood still for ${Math.round(stood)} ms at most`);
  assert.ok(stood < 1000, `the recording stood still for ${stood} ms`);
  assert.ok(noted[0].mediaTime < 2 && noted.at(-1).mediaTime > lasts - 1, 'from the beginning to the end');
  assert.deepEqual(complaints, []);
});

test('a viewer goes on by itself when the program is killed and started again', async (context) => {
  const { gaps, page } = await killedTwice(context, box);
  assert.ok(gaps.length >= 2, 'a break for each time');
  await page.waitForSelector('[data-replay]:not([hidden])');
});

test('so does the viewer of what is not recorded', async (context) => {
  const full = await startBox({ admin: true, env: { SIARAN_VIDEO_HEIGHT: '360', SIARAN_MIN_FREE_BYTES: '1000000000000000' } });
  try {
    const { recorded } = await killedTwice(context, full);
    assert.equal(recorded, false);
  } finally {
    await full.stop();
  }
});

/** Kills the program twice under a viewer of a broadcast, and ends that; gives what the API says then, and the viewer's page. */
async function killedTwice(context, box) {
  const call = await signedIn(box);
  const { id } = await call('POST', '/broadcasts', { title: 'Hidup lagi', source: 'test', record: 'if_room' });
  const { page } = await visitor(browser, box.url);
  await page.goto(`/watch/${id}`);
  await moving(page, 1);
  await page.evaluate(() => { globalThis.stillTheSame = true; });
  await rest(3000);
  for (const time of ['first', 'second']) {
    const { stop } = await stopOf(box, page, () => box.killAndRestart());
    context.diagnostic(`the ${time} time the picture stood still for ${Math.round(stop)} ms`);
    assert.ok(stop < 2 * PROMISED, `the picture stood still for ${stop} ms`);
    await page.waitForSelector('[data-edge].at-edge', { state: 'attached' });
  }
  assert.ok(await page.evaluate(() => globalThis.stillTheSame), 'no reload');
  const ended = await (await signedIn(box))('POST', `/broadcasts/${id}/end`);
  assert.equal(ended.state, 'ended');
  return { ...ended, page };
}
