// An admin trims a recording, cuts a piece out and marks a chapter; a viewer plays across the cut to the end.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { look, moving, openBrowser, video, visitor } from './browser.mjs';
import { ADMIN, signedIn, startBox, until } from './box.mjs';

let box;
let browser;
let call;
let id;

before(async () => {
  box = await startBox({ admin: true, env: { SIARAN_VIDEO_HEIGHT: '480', SIARAN_VIDEO_KBPS: '500', SIARAN_FRAME_RATE: '15' } });
  browser = await openBrowser();
  call = await signedIn(box);
  ({ id } = await call('POST', '/broadcasts', { title: 'Kelas ibu hamil', source: 'test' }));
  await until(async () => (await call('GET', `/broadcasts/${id}`)).duration_s > 14, 60_000);
  await call('POST', `/broadcasts/${id}/end`);
});

after(async () => {
  await browser?.close();
  const code = await box?.stop();
  if (box) assert.equal(code, 0, 'the program stops with 0');
});

async function editor(options) {
  const found = await visitor(browser, box.url, options);
  const { page } = found;
  await page.goto('/login');
  await page.fill('[name=username]', ADMIN.username);
  await page.fill('[name=password]', ADMIN.password);
  await page.click('main button[type=submit]');
  await page.goto(`/admin/recordings/${id}`);
  await page.click(`a[href$="/${id}/edit"]`);
  await page.waitForFunction(() => document.querySelector('video')?.readyState > 1);
  return found;
}

/** Goes to a place of the whole recording. */
async function to(page, seconds) {
  await page.evaluate((at) => { document.querySelector('video').currentTime = at; }, seconds);
  await page.waitForFunction((at) => { const one = document.querySelector('video'); return !one.seeking && Math.abs(one.currentTime - at) < 0.01; }, seconds);
}

const times = (text) => text.trim().split('\n').map((line) => line.split(' - ').map((time) => time.split(':').reduce((sum, part) => sum * 60 + Number(part), 0)));
const kept = async (page) => times(await page.inputValue('#kept'));

test('an admin trims, cuts and marks chapters, and takes steps back', async () => {
  const { page, context, complaints } = await editor();
  const whole = await kept(page);
  assert.equal(whole.length, 1);
  await look(page, 'the page that cuts');
  const act = (name) => page.click(`[data-do=${name}]`);

  await to(page, 2);
  await act('begin');
  assert.match(await page.textContent('[data-said]'), /^Mulai pada 0:02/);
  await to(page, 12);
  await page.locator('h1').click(); // Nothing has the focus.
  await page.keyboard.press('o');
  assert.deepEqual(await kept(page), [[2, 12]]);
  await to(page, 5);
  await act('cut');
  assert.equal(await page.getAttribute('[data-do=cut]', 'aria-pressed'), 'true');
  await to(page, 8);
  await act('cut');
  assert.deepEqual(await kept(page), [[2, 5], [8, 12]]);
  assert.equal(await page.locator('.strip .kept').count(), 2);

  await page.keyboard.press('Control+z');
  assert.deepEqual(await kept(page), [[2, 12]]);
  await page.keyboard.press('Control+Shift+z');
  assert.deepEqual(await kept(page), [[2, 5], [8, 12]]);
  await to(page, 6);
  await page.keyboard.press('r');
  assert.deepEqual(await kept(page), [[2, 12]]);
  await act('undo');
  assert.deepEqual(await kept(page), [[2, 5], [8, 12]]);
  await page.keyboard.press('ArrowRight');
  await page.waitForFunction(() => Math.abs(document.querySelector('video').currentTime - 7) < 0.05);
  assert.match(await page.getAttribute('[data-seek]', 'aria-valuetext'), /dipotong$/);

  await to(page, 9);
  await act('chapter');
  await page.keyboard.type('Tanya jawab');
  assert.match(await page.inputValue('#chapters'), /^0:09 Tanya jawab\n$/);
  await page.fill('#chapters', `0:02 Salam\n${await page.inputValue('#chapters')}`);

  // What is cut out is passed over here, too.
  await to(page, 4.5);
  await page.evaluate(() => { const one = document.querySelector('video'); one.muted = true; return one.play(); });
  await page.waitForFunction(() => document.querySelector('video').currentTime > 8.3);
  const played = await page.evaluate(() => {
    const one = document.querySelector('video');
    one.pause();
    return [...Array(one.played.length)].map((_, i) => [one.played.start(i), one.played.end(i)]);
  });
  assert.ok(played.every(([from, end]) => end <= 6 || from >= 7.5), JSON.stringify(played));

  const before = await page.getAttribute('[data-picture]', 'src');
  await act('picture');
  await page.waitForFunction(() => document.querySelector('[data-said]').textContent === 'Gambar sampul diganti.');
  assert.notEqual(await page.getAttribute('[data-picture]', 'src'), before);
  await look(page, 'the page that cuts, with a cut');

  // Whoever leaves without saving is asked.
  let asked = 0;
  page.on('dialog', async (dialog) => { asked += 1; await dialog.dismiss(); });
  await page.click('.brand').catch(() => {});
  await until(async () => asked === 1, 5000);
  assert.match(page.url(), /\/edit$/);
  await page.click('[data-edit-form] button[type=submit]');
  await page.waitForURL(/done=edited$/);
  assert.equal(asked, 1, 'not when it is saved');
  const saved = await call('GET', `/broadcasts/${id}/edit`);
  assert.equal(saved.kept.length, 2);
  saved.kept.forEach(({ from_s: from, to_s: end }, i) => {
    assert.ok(Math.abs(from - [2, 8][i]) <= 0.55 && Math.abs(end - [5, 12][i]) <= 0.2, JSON.stringify(saved.kept));
  });
  assert.deepEqual(complaints, []);
  await context.close();
});

test('a viewer plays across the cut to the end, and a chapter leads to its place', async () => {
  const { page, context, complaints } = await visitor(browser, box.url);
  const { duration_s: duration, kept: [first] } = await call('GET', `/broadcasts/${id}/edit`);
  await page.goto(`/watch/${id}`);
  await moving(page);
  assert.ok(Math.abs((await video(page)).duration - duration) < 0.25, `${(await video(page)).duration} of ${duration}`);
  const join = first.to_s - first.from_s;
  await page.waitForFunction((at) => document.querySelector('video').currentTime > at + 0.5, join);
  await page.waitForFunction(() => document.querySelector('video').ended);
  assert.ok(Math.abs((await video(page)).time - duration) < 0.35);
  await look(page, 'a recording with chapters');

  assert.deepEqual(await page.$$eval('.chapters a', (links) => links.map(({ lastElementChild }) => lastElementChild.textContent)), ['Salam', 'Tanya jawab']);
  const at = Number(await page.getAttribute('.chapters li:nth-child(2) a', 'data-jump'));
  await page.click('.chapters li:nth-child(2) a');
  await page.waitForFunction((from) => { const one = document.querySelector('video'); return !one.paused && one.currentTime > from && one.currentTime < from + 2.5; }, at);
  assert.match(page.url(), new RegExp(`/watch/${id}$`));
  await page.waitForSelector('.chapters li:nth-child(2) a[aria-current=true]');
  await page.goto(`/watch/${id}?t=${at}`);
  await moving(page, at);
  const begun = await page.evaluate(() => document.querySelector('video').played.start(0));
  assert.ok(Math.abs(begun - at) < 0.6, `it plays from ${begun}, not ${at}`);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('a thumb on a phone does it, and all comes back', async () => {
  const { page, context, complaints } = await editor({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  const small = await page.$$eval('.cutter button, .cutter input, [data-edit-form] button, details summary', (all) => all
    .map((one) => one.getBoundingClientRect()).filter(({ width, height }) => width < 48 || height < 48).length);
  assert.equal(small, 0, 'every target is a thumb wide');
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/edit-phone.png`, fullPage: true });
  await page.tap('details.confirm summary');
  await page.tap('details.confirm button');
  await page.waitForURL(/done=whole$/);
  assert.equal((await call('GET', `/broadcasts/${id}/edit`)).edited, false);
  if (process.env.SHOTS) {
    await page.setViewportSize({ width: 1280, height: 900 });
    await page.waitForFunction(() => document.querySelector('video').readyState > 1);
    await page.screenshot({ path: `${process.env.SHOTS}/edit-desk.png`, fullPage: true });
  }
  assert.deepEqual(complaints, []);
  await context.close();
});
