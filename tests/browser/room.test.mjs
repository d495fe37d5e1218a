// A box without room to record: the studio asks in words, and what is on air without a recording says so everywhere.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PATIENCE, look, moving, openBrowser, visitor } from './browser.mjs';
import { ADMIN, signedIn, startBox, until } from './box.mjs';

let box;
let browser;
let staff;
let viewer;

before(async () => {
  box = await startBox({ env: { SIARAN_MIN_FREE_BYTES: '1000000000000000', SIARAN_VIDEO_HEIGHT: '240' } });
  browser = await openBrowser();
  staff = await visitor(browser, box.url, { locale: 'en-GB' });
  viewer = await visitor(browser, box.url, { locale: 'en-GB' });
});

after(async () => {
  await browser?.close();
  await box?.stop();
});

test('going live without room is a question with three answers', async () => {
  const { page } = staff;
  await page.goto(box.setup);
  await page.fill('[name=username]', 'dr.wulan');
  await page.fill('[name=password]', 'empat kata yang panjang');
  await page.fill('[name=password_again]', 'empat kata yang panjang');
  await page.click('main button[type=submit]');
  await page.goto('/admin');
  await look(page, 'admin without room');
  await page.goto('/studio');
  await page.check('input[name=source][value=test]');
  await page.click('[data-go]');
  await page.waitForSelector('[data-no-room]:not([hidden])');
  await look(page, 'the studio asks');
  await page.click('[data-no-room-cancel]');
  await page.waitForSelector('[data-no-room]', { state: 'hidden' });
  assert.equal(await page.locator('[data-air]:not([data-air=""])').count(), 0, 'nothing is on air');

  await page.click('[data-go]');
  await page.click('[data-no-room] [name=record]');
  await page.waitForSelector('[data-air-unrecorded]:not([hidden])');
  await look(page, 'on air without a recording');
  const watch = await page.getAttribute('[data-air-link]', 'href');
  await viewer.page.goto(watch);
  await moving(viewer.page);

  await page.click('[data-air-end] button');
  await page.click('[data-end-dialog] [value=end]');
  await page.waitForFunction(() => /not recorded/.test(document.querySelector('[data-done]')?.textContent ?? ''));
  await viewer.page.waitForFunction(() => /cannot be watched again/.test(document.querySelector('[data-curtain]:not([hidden])')?.textContent ?? ''));
  await look(viewer.page, 'watched to its end, not recorded');
  await viewer.page.reload();
  assert.match(await viewer.page.textContent('[data-curtain]'), /cannot be watched again/);
  // The question is a refusal, which the browser's console notes.
  const complaints = [...staff.complaints, ...viewer.complaints].filter((text) => !/409 \(Conflict\)/.test(text));
  assert.deepEqual(complaints, []);
});

// A disk of its own is mounted for it.
const skip = process.getuid() !== 0 && 'not root';

test('the trash makes the room that is missing', { skip }, async (t) => {
  const small = await startBox({ disk: '96m', env: { SIARAN_MIN_FREE_BYTES: '4000000', SIARAN_VIDEO_HEIGHT: '240', SIARAN_GO_LIVE_ROOM_S: '20' } });
  t.after(() => small.stop());
  const { page, complaints } = await visitor(browser, small.url, { locale: 'en-GB' });
  await page.goto(small.setup);
  await page.fill('[name=username]', ADMIN.username);
  await page.fill('[name=password]', ADMIN.password);
  await page.fill('[name=password_again]', ADMIN.password);
  await page.click('main button[type=submit]');
  await page.waitForURL('**/studio**');
  const call = await signedIn(small);
  const { id } = await call('POST', '/broadcasts', { title: 'Nobody wants it', source: 'test' });
  await until(async () => (await call('GET', `/broadcasts/${id}`)).duration_s > 8, PATIENCE);
  await call('POST', `/broadcasts/${id}/end`);
  // Else it may go by itself.
  await call('PATCH', `/broadcasts/${id}`, { pinned: true });
  await call('DELETE', `/broadcasts/${id}`);
  const before = await call('GET', '/storage');
  assert.ok(before.trash > 500_000, `${before.trash} bytes in the trash`);
  const wanted = (before.bitrate_bps / 8) * 20;
  const filler = Math.floor(before.free - before.reserve - wanted + before.trash / 2);
  assert.ok(filler > 0, `${filler}`);
  writeFileSync(join('/proc', `${small.pid}`, 'root', small.data, 'filler'), Buffer.alloc(filler, 1));

  await page.goto('/studio');
  await page.check('input[name=source][value=test]');
  await page.click('[data-go]');
  await page.waitForSelector('[data-no-room]:not([hidden])');
  await look(page, 'the studio asks, and the trash is not empty');
  assert.equal((await call('GET', '/storage')).trash, before.trash, 'nothing goes before the answer');
  await page.click('[data-no-room] [name=free_trash]');
  await page.waitForSelector('[data-air]:not([data-air=""])');
  assert.equal((await call('GET', '/storage')).trash, 0);
  const live = await until(async () => (await call('GET', '/broadcasts?state=live')).items[0], PATIENCE);
  assert.equal(live.recorded, true);
  await page.waitForSelector('[data-air-unrecorded]', { state: 'hidden' });
  await call('POST', `/broadcasts/${live.id}/end`);
  assert.deepEqual(complaints.filter((text) => !/409 \(Conflict\)/.test(text)), []);
});
