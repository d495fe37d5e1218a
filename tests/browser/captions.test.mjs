// What leads to a place in a recording. Captions: put on its page, shown by the player and remembered, found by the search, which leads
// to the second. Small pictures: shown above the time line.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { look, moving, openBrowser, video, visitor } from './browser.mjs';
import { ADMIN, signedIn, startBox, until } from './box.mjs';

let box;
let browser;
let id;

before(async () => {
  box = await startBox({ admin: true, env: { SIARAN_VIDEO_HEIGHT: '240', SIARAN_VIDEO_KBPS: '300', SIARAN_FRAME_RATE: '15' } });
  browser = await openBrowser();
  const call = await signedIn(box);
  ({ id } = await call('POST', '/broadcasts', { title: 'Kelas ibu hamil', source: 'test' }));
  await until(async () => (await call('GET', `/broadcasts/${id}`)).duration_s > 10.5, 60_000);
  await call('POST', `/broadcasts/${id}/end`);
});

after(async () => {
  await browser?.close();
  const code = await box?.stop();
  if (box) assert.equal(code, 0, 'the program stops with 0');
});

/** What is shown over the picture now. */
const shown = (page) => page.evaluate(() => [...document.querySelector('video').textTracks]
  .filter(({ mode }) => mode === 'showing').flatMap(({ activeCues }) => [...activeCues ?? []].map(({ text }) => text)));
const untilShown = (page, wanted) => page.waitForFunction((text) => [...document.querySelector('video').textTracks]
  .some(({ mode, activeCues }) => mode === 'showing' && [...activeCues ?? []].some((cue) => cue.text === text)), wanted);

test('captions are added, mended and deleted on the page, without JavaScript', async () => {
  const { page, context, complaints } = await visitor(browser, box.url, { javaScriptEnabled: false });
  await page.goto('/login');
  await page.fill('[name=username]', ADMIN.username);
  await page.fill('[name=password]', ADMIN.password);
  await page.click('main button[type=submit]');
  await page.goto(`/admin/recordings/${id}`);
  await page.click(`a[href$="/${id}/captions"]`);
  await page.setInputFiles('#file', { name: 'teks.srt', mimeType: 'application/x-subrip', buffer: Buffer.from('1\n00:00:00,000 --> 00:00:05\nSalah --> ini\n') });
  await page.click('.panel button[type=submit]');
  assert.match(await page.textContent('#text-error'), /^Baris 3: /);
  assert.match(await page.inputValue('#text'), /Salah --> ini/);
  await page.fill('#text', 'WEBVTT\n\n00:00:00.000 --> 00:00:05.000\nSelamat datang, Ibu\n\n00:00:05.000 --> 01:00:00.000\nMinum air putih\n');
  await page.click('.panel button[type=submit]');
  await page.waitForURL(new RegExp(`/admin/recordings/${id}\\?done=captions$`));
  await page.click(`a[href$="/${id}/captions"]`);
  assert.ok(!(await page.$$eval('#language option', (options) => options.map(({ value }) => value))).includes('id'));
  await page.selectOption('#language', 'jv');
  await page.fill('#text', 'WEBVTT\n\n00:00.000 --> 00:05.000\nSugeng rawuh\n');
  await page.click('.panel button[type=submit]');
  assert.equal(await page.locator('.captions li').count(), 2);
  assert.deepEqual(complaints.filter((said) => !said.includes('400')), []);
  await context.close();
});

test('the pages of captions are accessible', async () => {
  const { page, context, complaints } = await visitor(browser, box.url);
  await page.goto('/login');
  await page.fill('[name=username]', ADMIN.username);
  await page.fill('[name=password]', ADMIN.password);
  await page.click('main button[type=submit]');
  await page.goto(`/admin/recordings/${id}`);
  await look(page, 'a recording with captions');
  await page.goto(`/admin/recordings/${id}/captions/id`);
  await look(page, 'captions');
  await page.goto(`/admin/recordings/${id}/captions`);
  await look(page, 'new captions');
  assert.deepEqual(complaints, []);
  await context.close();
});

test('a viewer chooses a language, and it is remembered', async () => {
  const { page, context, complaints } = await visitor(browser, box.url);
  await page.goto(`/watch/${id}`);
  await moving(page);
  assert.deepEqual(await shown(page), [], 'off until somebody wants them');
  assert.deepEqual(await page.$$eval('[data-captions] option', (options) => options.map(({ textContent }) => textContent)), ['Tanpa teks', 'Bahasa Indonesia', 'Basa Jawa']);
  await page.evaluate(() => { const one = document.querySelector('video'); one.pause(); one.currentTime = 2; });
  await page.selectOption('[data-captions]', 'jv');
  await untilShown(page, 'Sugeng rawuh');
  await page.selectOption('[data-captions]', 'id');
  await untilShown(page, 'Selamat datang, Ibu');
  await look(page, 'a player with captions');
  await page.evaluate(() => { document.querySelector('video').currentTime = 6; });
  await untilShown(page, 'Minum air putih');
  await page.reload();
  await untilShown(page, 'Selamat datang, Ibu');
  await page.selectOption('[data-captions]', '');
  await page.waitForFunction(() => localStorage.getItem('captions') === '');
  await page.reload();
  await moving(page);
  assert.deepEqual(await shown(page), []);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('the time line shows where a finger on it would lead', async () => {
  await until(async () => (await fetch(`${box.url}/media/${id}/sprite.vtt`)).ok, 30_000);
  const { page, context, complaints } = await visitor(browser, box.url);
  await page.goto(`/watch/${id}`);
  await moving(page);
  const line = page.locator('media-time-range');
  const { x, y, width, height } = await line.boundingBox();
  const pictureAt = async (share) => {
    const before = await line.getAttribute('mediapreviewimage');
    await page.mouse.move(x + width * share, y + height / 2);
    await page.waitForFunction((old) => ![null, old].includes(document.querySelector('media-time-range').getAttribute('mediapreviewimage')), before);
    return line.getAttribute('mediapreviewimage');
  };
  assert.match(await pictureAt(0.1), /sprite\.jpg#xywh=\d+,0,160,90$/);
  assert.match(await pictureAt(0.9), /sprite\.jpg#xywh=\d+,0,160,90$/);
  const size = () => line.evaluate((range) => range.shadowRoot.querySelector('media-preview-thumbnail').getBoundingClientRect().width);
  await until(async () => (await size()) > 100, 10_000);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('the search finds what is said, and plays from there', async () => {
  const { page, context, complaints } = await visitor(browser, box.url);
  await page.goto('/?q=putih');
  await look(page, 'a search with something said');
  assert.match(await page.textContent('.said a'), /0:05 “Minum air putih”/);
  await page.click('.said a');
  await moving(page, 5);
  const { time } = await video(page);
  await page.waitForFunction(() => document.querySelector('video').played.length > 0);
  const first = await page.evaluate(() => document.querySelector('video').played.start(0));
  assert.ok(first >= 4.5 && time >= 5, `it plays from ${first}`);
  // Behind the end there is nothing to play; it begins just before.
  await page.goto(`/watch/${id}?t=99999`);
  await page.waitForFunction(() => document.querySelector('video').currentTime > 5);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('one language has the controls\' own button', async () => {
  const call = await signedIn(box);
  await call('DELETE', `/broadcasts/${id}/captions/jv`);
  const { page, context, complaints } = await visitor(browser, box.url);
  await page.goto(`/watch/${id}?t=6`);
  await moving(page);
  assert.equal(await page.locator('[data-captions]').count(), 0);
  await page.evaluate(() => document.querySelector('media-captions-button').click());
  await untilShown(page, 'Minum air putih');
  await look(page, 'a player with a button for captions');
  await page.reload();
  await untilShown(page, 'Minum air putih');
  await call('DELETE', `/broadcasts/${id}/captions/id`);
  await page.reload();
  await moving(page);
  assert.equal(await page.locator('media-captions-button, track[kind=captions]').count(), 0);
  assert.deepEqual(complaints, []);
  await context.close();
});
