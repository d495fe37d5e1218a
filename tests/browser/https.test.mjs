// Over HTTPS a browser speaks HTTP/2: the same walk, live and recorded, on one connection.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { longestGap, moving, notePictures, openBrowser, pictures, video, visitor } from './browser.mjs';
import { signedIn, startBox } from './box.mjs';

let box;
let browser;

before(async () => {
  box = await startBox({ admin: true, https: true, env: { SIARAN_VIDEO_HEIGHT: '360' } });
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  const code = await box?.stop();
  if (box) assert.equal(code, 0, 'the program stops with 0');
});

/** Protocols of what the page has loaded of its broadcast, by kind of file, and of itself. */
function protocols(page) {
  return page.evaluate(() => {
    const kind = (name) => /\.(\w+)(\?|$)/.exec(name)?.[1] ?? 'page';
    const entries = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
    const found = {};
    for (const { name, nextHopProtocol } of entries) if (nextHopProtocol) (found[kind(name)] ??= new Set()).add(nextHopProtocol);
    return Object.fromEntries(Object.entries(found).map(([name, all]) => [name, [...all]]));
  });
}

test('live and recorded over HTTP/2', async (context) => {
  const call = await signedIn(box);
  const { id } = await call('POST', '/broadcasts', { title: 'Aman', source: 'test' });
  const { page, complaints } = await visitor(browser, box.https, { ignoreHTTPSErrors: true });
  // Those of a long broadcast are many more than the browser keeps by itself.
  await page.addInitScript(() => performance.setResourceTimingBufferSize(2000));
  await page.goto('/live');
  await page.waitForURL(/\/watch\//);
  await moving(page, 1);
  await notePictures(page);
  const { time } = await video(page);
  await moving(page, time + 5);
  const stood = longestGap(await pictures(page));
  const live = await protocols(page);
  context.diagnostic(`live: ${JSON.stringify(live)}, stood still for ${Math.round(stood)} ms at most`);
  for (const kind of ['page', 'm3u8', 'm4s', 'mp4', 'js', 'css']) assert.deepEqual(live[kind], ['h2'], kind);
  assert.ok(stood < 500, `stood still for ${stood} ms`);

  await call('POST', `/broadcasts/${id}/end`);
  await page.waitForSelector('[data-replay]:not([hidden])');
  await page.goto(`/watch/${id}`);
  await moving(page, 1);
  await page.evaluate(() => { const one = document.querySelector('video'); one.currentTime = one.duration - 2; });
  await page.waitForFunction(() => document.querySelector('video').ended);
  const recorded = await protocols(page);
  for (const kind of ['page', 'm3u8', 'm4s']) assert.deepEqual(recorded[kind], ['h2'], kind);
  const download = await page.evaluate(async (address) => {
    const answer = await fetch(address, { headers: { Range: 'bytes=10-109' } });
    return { status: answer.status, length: (await answer.arrayBuffer()).byteLength };
  }, `/media/${id}/download.mp4`);
  assert.deepEqual(download, { status: 206, length: 100 });
  assert.deepEqual(complaints, []);
});
