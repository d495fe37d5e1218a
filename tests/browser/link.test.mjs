// A viewer on a link that is slow, or becomes slow: the picture is as large as the link carries, and no larger one is tried that it
// does not carry.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { look, moving, notePictures, openBrowser, pictures, rest, untilLines, visitor } from './browser.mjs';
import { signedIn, startBox } from './box.mjs';
import { openLink } from './link.mjs';

/** Kilobits a second: of what is needed for the small picture more than enough, for the large one too little; and for all. */
const SLOW = 800;
const TOO_SLOW = 320;
const FAST = 20_000;
/** Seconds that each case watches. */
const WATCHED = Number(process.env.LINK_S ?? 12);

let box;
let browser;
let call;
let id;

before(async () => {
  box = await startBox({ admin: true, env: { SIARAN_VIDEO_HEIGHT: '480', SIARAN_VIDEO_KBPS: '1200', SIARAN_FRAME_RATE: '15' } });
  browser = await openBrowser();
  call = await signedIn(box);
  ({ id } = await call('POST', '/broadcasts', { title: 'Jauh', source: 'test' }));
});

after(async () => {
  await browser?.close();
  const code = await box?.stop();
  if (box) assert.equal(code, 0, 'the program stops with 0');
});

/** Seconds in which no new picture was shown for longer than a viewer takes for a moment. */
function frozen(noted) {
  const gaps = noted.slice(1).map(({ now }, i) => now - noted[i].now);
  return gaps.filter((gap) => gap > 400).reduce((sum, gap) => sum + gap, 0) / 1000;
}

/** Opens the page over a link and notes pictures and their lines from the first on. */
async function watch(link) {
  const { page, context } = await visitor(browser, link.url);
  await page.addInitScript(() => {
    addEventListener('DOMContentLoaded', () => {
      const one = document.querySelector('video');
      globalThis.sizes = [];
      one.addEventListener('resize', () => globalThis.sizes.push({ lines: one.videoHeight, at: one.currentTime }));
    });
  });
  await page.goto(`/watch/${id}`);
  await moving(page);
  await notePictures(page);
  const seen = async () => ({ stood: frozen(await pictures(page)), sizes: await page.evaluate(() => globalThis.sizes) });
  return { page, context, seen };
}

test('on a slow link the small picture plays without a stop, and no larger one is tried', async (context) => {
  const link = await openLink(box.url, { kbps: SLOW, loss: 0.002 });
  const viewer = await watch(link);
  await rest(WATCHED * 1000);
  const { stood, sizes } = await viewer.seen();
  await viewer.context.close();
  link.close();
  context.diagnostic(`${SLOW} kbit/s: ${JSON.stringify(sizes)}, stood still for ${stood.toFixed(1)} of ${WATCHED} s`);
  assert.deepEqual(sizes.map(({ lines }) => lines), [240]);
  assert.ok(stood < WATCHED / 6, `it stood still for ${stood} s`);
});

test('on a fast link the large picture is there within two segments', async (context) => {
  const link = await openLink(box.url, { kbps: FAST });
  const viewer = await watch(link);
  const from = await viewer.page.evaluate(() => document.querySelector('video').currentTime);
  await untilLines(viewer.page, 480);
  const { sizes } = await viewer.seen();
  await viewer.context.close();
  link.close();
  const { at } = sizes.find(({ lines }) => lines === 480);
  context.diagnostic(`${FAST} kbit/s: ${JSON.stringify(sizes)}`);
  assert.ok(at - from < 2.5, `${at - from} s of media before it`);
});

test('a link that becomes slow costs the large picture and hardly a moment, and one that becomes fast again brings it back', async (context) => {
  const link = await openLink(box.url, { kbps: FAST });
  const viewer = await watch(link);
  await untilLines(viewer.page, 480);
  await rest(3000);
  link.set(SLOW);
  await untilLines(viewer.page, 240);
  await rest(WATCHED * 1000);
  const { stood, sizes } = await viewer.seen();
  assert.equal(sizes.at(-1).lines, 240, 'the large one is not tried again');
  context.diagnostic(`from ${FAST} to ${SLOW} kbit/s: ${JSON.stringify(sizes)}, stood still for ${stood.toFixed(1)} s`);
  assert.ok(stood < 5, `it stood still for ${stood} s`);
  link.set(FAST);
  await untilLines(viewer.page, 480);
  await viewer.context.close();
  link.close();
});

test('on a link that does not even carry the small picture the sound is offered, and plays', async (context) => {
  const link = await openLink(box.url, { kbps: TOO_SLOW });
  const viewer = await watch(link);
  const { page } = viewer;
  await page.waitForSelector('[data-listen]:not([hidden])', { timeout: 60_000 });
  await look(page, 'a player on a slow link');
  await page.click('[data-listen]');
  await page.waitForFunction(() => document.querySelector('video').videoHeight === 0);
  assert.equal(await page.inputValue('[data-quality]'), 'sound');
  assert.ok(await page.isHidden('[data-listen]'));
  const playing = () => page.evaluate(() => document.querySelector('video').currentTime);
  await page.waitForFunction(() => document.querySelector('video').currentTime > 0 && !document.querySelector('video').seeking);
  await rest(2000);
  const [from, begin] = [await playing(), performance.now()];
  await rest(WATCHED * 1000);
  const played = (await playing() - from) / ((performance.now() - begin) / 1000);
  await viewer.context.close();
  link.close();
  context.diagnostic(`${TOO_SLOW} kbit/s: the sound played at ${played.toFixed(2)} of its speed`);
  assert.ok(played > 0.8, `it played at ${played} of its speed`);
});
