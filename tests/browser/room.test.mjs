// A box without room to record: the studio asks in words, and what is on air without a recording says so everywhere.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { look, moving, openBrowser, visitor } from './browser.mjs';
import { startBox } from './box.mjs';

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
