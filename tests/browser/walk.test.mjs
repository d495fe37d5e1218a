// The walk: from a fresh box to a replay, as the people of the clinic do it. Each step builds on the one before.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { look, moving, openBrowser, video, visitor, weight } from './browser.mjs';
import { ADMIN, startBox, until } from './box.mjs';

/** Bytes that a page without the player may cost a phone. */
const LIGHT = 50_000;

const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };

const STAFF = { username: 'bidan.sari', password: 'lima kata lain yang panjang' };

let box;
let browser;
let staff;
let viewer;
let watched;

before(async () => {
  box = await startBox();
  // As phones do it; a browser without a screen lets everything sound by itself.
  browser = await openBrowser(['--autoplay-policy=document-user-activation-required']);
  staff = await visitor(browser, box.url);
  viewer = await visitor(browser, box.url, PHONE);
});

after(async () => {
  await browser?.close();
  const code = await box?.stop();
  if (box) assert.equal(code, 0, 'the program stops with 0');
});

let broken = false;

/** A step of the walk; those behind one that failed would only fail after it. */
function step(name, walk) {
  test(name, async (context) => {
    if (broken) return context.skip('an earlier step failed');
    broken = true;
    await walk();
    broken = false;
    return undefined;
  });
}

async function signIn(page, { username, password }) {
  await page.goto('/login');
  await page.fill('[name=username]', username);
  await page.fill('[name=password]', password);
  await Promise.all([page.waitForURL((url) => url.pathname !== '/login'), page.click('main button[type=submit]')]);
}

step('a fresh box sends everyone to its console', async () => {
  await viewer.page.goto('/');
  assert.match(await viewer.page.textContent('main'), /siaran account add/);
  await look(viewer.page, 'setup without the address');
});

step('the one-time address makes the first admin', async () => {
  const { page } = staff;
  await page.goto(box.setup);
  await look(page, 'setup');
  await page.fill('[name=username]', ADMIN.username);
  await page.fill('[name=password]', ADMIN.password);
  await page.fill('[name=password_again]', 'another one altogether');
  await page.click('main button[type=submit]');
  await page.waitForSelector('[aria-invalid=true]');
  assert.equal(await page.inputValue('[name=username]'), ADMIN.username, 'what was typed is kept');
  await page.fill('[name=password]', ADMIN.password);
  await page.fill('[name=password_again]', ADMIN.password);
  await Promise.all([page.waitForURL((url) => url.pathname !== '/setup'), page.click('main button[type=submit]')]);
});

step('signing in refuses a wrong password and takes the right one', async () => {
  const { page } = staff;
  // The studio asks for its preview all the time, which is refused without a session.
  await page.goto('/admin/accounts');
  await staff.context.clearCookies();
  await page.goto('/login');
  await look(page, 'login');
  await page.fill('[name=username]', ADMIN.username);
  await page.fill('[name=password]', 'not this one at all');
  await page.click('main button[type=submit]');
  await page.waitForSelector('[role=alert]');
  assert.equal(await page.inputValue('[name=username]'), ADMIN.username);
  // The browser's own notes of the two mistakes that were asked for, and no other.
  assert.deepEqual(staff.complaints.splice(0).map((text) => /status of (4\d\d)/.exec(text)?.[1] ?? text), ['400', '401']);
  await signIn(page, ADMIN);
});

step('the admin makes an account for the staff', async () => {
  const { page } = staff;
  await page.goto('/admin/accounts');
  await look(page, 'accounts');
  await page.fill('#username', STAFF.username);
  await page.fill('#password', STAFF.password);
  await page.check('[name=role][value=broadcaster]');
  await page.click('form[action="/admin/accounts"] button[type=submit]');
  await page.waitForSelector(`h2:has-text("${STAFF.username}")`);
  await look(page, 'accounts with two');
  await staff.context.clearCookies();
  await signIn(page, STAFF);
});

step('an empty library says so', async () => {
  await viewer.page.goto('/');
  await look(viewer.page, 'home, empty');
  for (const path of ['/', '/login']) {
    const bytes = await weight(browser, box.url, path);
    assert.ok(bytes < LIGHT, `${path} costs ${bytes} bytes`);
  }
  await viewer.page.goto('/live');
  await viewer.page.waitForSelector('[data-waiting]');
  await look(viewer.page, 'live, waiting');
});

step('the studio shows picture and level before going live', async () => {
  const { page } = staff;
  await page.goto('/studio');
  await page.check('[name=source][value=test]');
  await moving(page);
  await page.waitForSelector('[data-check=picture][data-is=good]');
  await page.waitForFunction(() => Number(document.querySelector('[data-meter]').getAttribute('aria-valuenow')) > -60);
  await meterMoves(page);
  await look(page, 'studio');
});

/** The meter is told again and again: what is wiped off it comes back. */
async function meterMoves(page) {
  const wiped = 'scaleY(0)';
  await page.evaluate((none) => { document.querySelector('[data-meter] .fill').style.transform = none; }, wiped);
  await page.waitForFunction((none) => document.querySelector('[data-meter] .fill').style.transform !== none, wiped);
}

step('one press goes on air, and the waiting viewer follows by itself', async () => {
  const { page } = staff;
  await page.fill('#title', 'Kelas <b>ibu hamil</b> 🤰');
  await page.click('[data-go]');
  await page.waitForSelector('body.is-on-air');
  await page.waitForFunction(() => document.querySelector('[data-air-list] [data-air-elapsed]')?.textContent > '0:00');
  const told = (name) => page.textContent(`[data-air-list] [data-air-${name}]`);
  await until(async () => parseFloat((await told('bitrate')).replace(',', '.')) > 0, 30_000);
  assert.match(await told('dropped'), /^\d+$/);
  assert.match(await told('disk'), /^\d+ /);
  await meterMoves(page);
  await look(page, 'studio on air');

  await viewer.page.waitForURL(/\/watch\//);
  watched = new URL(viewer.page.url()).pathname;
  await moving(viewer.page);
  const playing = await video(viewer.page);
  assert.equal(playing.count, 1);
  assert.equal(await viewer.page.textContent('h1'), 'Kelas <b>ibu hamil</b> 🤰');
  await look(viewer.page, 'watch, live');
  await page.waitForFunction(() => document.querySelector('[data-air-list] [data-air-viewers]')?.textContent === '1');
  const viewers = viewer.page.locator('[data-viewers]');
  await until(async () => (await viewers.isVisible()) && /(^|\D)1(\D|$)/.test(await viewers.textContent()), 30_000);
});

step('a phone that lets nothing sound by itself has sound by one tap', async () => {
  const { page, complaints, context } = await visitor(browser, box.url, PHONE);
  // Whatever is asked of a page counts as a person's gesture, so nothing is until it has begun by itself.
  const media = page.waitForResponse((response) => response.url().includes('.m4s'));
  await page.goto(watched);
  await media;
  await page.waitForTimeout(2000);
  const sound = page.locator('[data-sound]');
  await sound.waitFor({ state: 'visible' });
  await moving(page);
  assert.ok(await page.evaluate(() => document.querySelector('video').muted), 'it began without sound');
  await sound.tap();
  await page.waitForFunction(() => !document.querySelector('video').muted);
  await sound.waitFor({ state: 'hidden' });
  assert.deepEqual(complaints, []);
  await context.close();
});

step('a viewer rewinds, and comes back to live', async () => {
  const { page } = viewer;
  await until(async () => (await video(page)).duration > 10, 30_000);
  await page.evaluate(() => { document.querySelector('video').currentTime = 0; });
  await page.waitForSelector('[data-edge]:not(.at-edge)', { state: 'attached' });
  await moving(page, 0.5);
  assert.ok((await video(page)).time < 6, 'plays from the beginning');
  await page.evaluate(() => document.querySelector('[data-edge]').click());
  await page.waitForSelector('[data-edge].at-edge', { state: 'attached' });
});

step('the home page shows what is live', async () => {
  const third = await visitor(browser, box.url);
  await third.page.goto('/');
  await third.page.waitForSelector('.on-air');
  await look(third.page, 'home, live');
  await third.page.goto('/tv');
  await moving(third.page);
  await look(third.page, 'tv');
  assert.deepEqual(third.complaints, []);
  await third.context.close();
});

step('the end asks once, and the same page becomes the recording', async () => {
  const { page } = staff;
  await viewer.page.evaluate(() => { globalThis.stillTheSame = true; });
  await page.click('[data-air-end] button');
  await page.waitForSelector('dialog[open]');
  await look(page, 'the question');
  await page.click('dialog button[value=keep]');
  assert.ok(await page.locator('body.is-on-air').count(), 'still on air');
  await page.click('[data-air-end] button');
  await page.click('dialog button[value=end]');
  await page.waitForSelector('[data-done]:not([hidden])');

  await viewer.page.waitForSelector('.stage[data-state=ended]');
  await viewer.page.waitForSelector('[data-replay]:not([hidden])');
  assert.ok(await viewer.page.evaluate(() => globalThis.stillTheSame), 'no reload');
  assert.equal(new URL(viewer.page.url()).pathname, watched);
  await look(viewer.page, 'watch, ended');
});

step('the recording plays from its first second to its last', async () => {
  const { page } = viewer;
  await page.tap('[data-replay]');
  await moving(page, 0.5);
  const { time, duration } = await video(page);
  assert.ok(time < 5 && duration > 5, `from the beginning: ${time} of ${duration}`);
  await page.evaluate(() => { const one = document.querySelector('video'); one.currentTime = one.duration - 1; });
  await page.waitForFunction(() => document.querySelector('video').ended);

  await page.goto(watched);
  await moving(page);
  const id = watched.split('/').pop();
  const part = await page.request.get(`/media/${id}/download.mp4`, { headers: { Range: 'bytes=0-99' } });
  assert.equal(part.status(), 206);
  assert.equal((await part.body()).length, 100);

  // In a player that knows nothing of this box.
  await page.goto('/login');
  const seconds = await page.evaluate((src) => new Promise((resolve, reject) => {
    const plain = Object.assign(document.createElement('video'), { src, muted: true, defaultPlaybackRate: 4 });
    plain.onended = () => resolve(plain.currentTime);
    plain.onerror = () => reject(new Error(plain.error.message));
    document.body.append(plain);
    plain.play().catch(reject);
  }), `/media/${id}/download.mp4`);
  assert.ok(Math.abs(seconds - duration) < 1, `${seconds} s of ${duration}`);
});

step('the library finds it, in the language of the reader, without JavaScript too', async () => {
  const { page, context } = await visitor(browser, box.url, { javaScriptEnabled: false, locale: 'en-GB' });
  await page.goto('/');
  assert.equal(await page.getAttribute('html', 'lang'), 'en');
  assert.equal(await page.locator('.card').count(), 1);
  await page.fill('#q', 'hamil');
  await page.click('.search button');
  assert.equal(await page.locator('.card').count(), 1);
  await page.click('footer button[value=id]');
  assert.equal(await page.getAttribute('html', 'lang'), 'id');
  assert.match(page.url(), /q=hamil/, 'the switch comes back to the same page');
  await page.goto('/login');
  await page.fill('[name=username]', STAFF.username);
  await page.fill('[name=password]', STAFF.password);
  await page.click('main button[type=submit]');
  await page.goto('/studio');
  assert.equal(await page.locator('[data-prepare]').count(), 1);
  await context.close();
});

step('a stream key is shown once and can be revoked', async () => {
  const { page } = staff;
  await page.goto('/studio/keys');
  await look(page, 'keys');
  await page.fill('#label', 'Aula');
  await page.click('form[action="/studio/keys"] button[type=submit]');
  const key = await page.inputValue('#key');
  assert.ok(key.length >= 20);
  await look(page, 'a new key');
  await page.goto('/studio/keys');
  assert.ok(!(await page.content()).includes(key), 'not shown again');
  await page.click('.confirm summary');
  await page.click('.confirm button');
  await page.waitForFunction(() => !document.querySelector('.confirm'));
});

step('the admin edits, deletes, and restores a recording', async () => {
  const { page } = staff;
  await staff.context.clearCookies();
  await signIn(page, ADMIN);
  await page.goto('/admin');
  await look(page, 'admin');
  await page.goto('/admin/recordings');
  await look(page, 'recordings');
  await page.click('.media .button');
  await look(page, 'one recording');
  await page.fill('#title', 'Kelas ibu hamil');
  await page.fill('#tags', 'Kehamilan, Gizi');
  await page.click('form.panel button[type=submit]');
  await page.goto(watched);
  assert.equal(await page.textContent('h1'), 'Kelas ibu hamil');
  assert.equal(await page.locator('.tags li').count(), 2);

  await page.goto(`/admin/recordings/${watched.split('/').pop()}`);
  await page.click('.confirm summary');
  await page.click('.confirm button');
  await page.goto('/admin/trash');
  await look(page, 'trash');
  const lost = await viewer.page.request.get(watched);
  assert.equal(lost.status(), 404);
  await page.click('form[action$="/restore"] button');
  await page.goto('/');
  assert.equal(await page.locator('.card').count(), 1);
  await look(page, 'home with a recording');
});

step('an address that leads nowhere says what to do', async () => {
  const { page, context } = await visitor(browser, box.url);
  const answer = await page.goto('/nowhere');
  assert.equal(answer.status(), 404);
  await look(page, 'not found');
  await context.close();
});

step('the console has nothing to complain about', () => {
  assert.deepEqual(staff.complaints, []);
  assert.deepEqual(viewer.complaints, []);
});
