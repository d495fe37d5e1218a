// What the walk does not pass by: forms with mistakes, refusals, states that are rare. Each is looked at with axe-core.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { look, moving, openBrowser, visitor } from './browser.mjs';
import { ADMIN, signedIn, startBox } from './box.mjs';

const VIEWER = { username: 'ibu.rina', password: 'enam kata lain yang panjang' };
const NEW_PASSWORD = 'tujuh kata yang baru sama sekali';

let box;
let browser;
let admin;
let call;

before(async () => {
  box = await startBox({ admin: true, env: { SIARAN_VIDEO_HEIGHT: '240' } });
  browser = await openBrowser();
  call = await signedIn(box);
  admin = await visitor(browser, box.url);
  await signIn(admin.page, ADMIN);
});

after(async () => {
  await browser?.close();
  const code = await box?.stop();
  if (box) assert.equal(code, 0, 'the program stops with 0');
});

async function signIn(page, { username, password }) {
  await page.goto('/login');
  await page.fill('[name=username]', username);
  await page.fill('[name=password]', password);
  await Promise.all([page.waitForURL((url) => url.pathname !== '/login'), page.click('main button[type=submit]')]);
}

/** A recording of about two seconds; gives its id. */
async function record(title, audience = 'public') {
  const { id } = await call('POST', '/broadcasts', { title, source: 'test', audience });
  await live(id);
  await call('POST', `/broadcasts/${id}/end`);
  return id;
}

async function live(id) {
  for (;;) {
    const { state } = await call('GET', `/broadcasts/${id}`);
    if (state === 'live') return;
    assert.equal(state, 'starting');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Every field that is at fault says why, to those who hear the page too. */
async function faults(page) {
  const wrong = page.locator('[aria-invalid=true]');
  const count = await wrong.count();
  for (let i = 0; i < count; i++) {
    const told = (await wrong.nth(i).getAttribute('aria-describedby')).split(' ').pop();
    assert.ok((await page.textContent(`#${told}`)).trim().length > 5, `${told} says what is wrong`);
  }
  return count;
}

test('accounts: new, with mistakes, edited, with mistakes', async () => {
  const { page } = admin;
  const form = 'form[action="/admin/accounts"]';
  const add = (username, password) => submit(page, form, { username, password });
  await page.goto('/admin/accounts');
  await add('a b', 'pendek');
  assert.ok(await faults(page) >= 1);
  await look(page, 'new account, bad name');
  await add('ibu.rina', 'pendek');
  assert.ok(await faults(page) >= 1);
  await look(page, 'new account, bad password');
  await add(ADMIN.username, VIEWER.password);
  assert.ok(await faults(page) >= 1);
  await look(page, 'new account, name taken');
  await page.check(`${form} [name=role][value=viewer]`);
  await add(VIEWER.username, VIEWER.password);
  await page.waitForSelector(`h2:has-text("${VIEWER.username}")`);

  for (const summary of await page.locator('main details > summary').all()) await summary.click();
  await look(page, 'accounts, all opened');
  const hers = await page.locator(`li:has(h2:has-text("${VIEWER.username}")) form[action$="/password"]`).getAttribute('action');
  await submit(page, `form[action="${hers}"]`, { password: 'pendek' });
  await page.waitForSelector('details[open] [role=alert]');
  await look(page, 'an account, edited with a mistake');
  await submit(page, `form[action="${hers}"]`, { password: NEW_PASSWORD });
  await page.waitForSelector(`h2:has-text("${VIEWER.username}")`);
  const refused = await fetch(`${box.url}/api/v1/session`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(VIEWER) });
  assert.equal(refused.status, 401, 'the old password is worth nothing');
  VIEWER.password = NEW_PASSWORD;
  const her = await visitor(browser, box.url);
  await signIn(her.page, VIEWER);
  assert.deepEqual(her.complaints, []);
  await her.context.close();
});

/** Fills a form as it stands, without the browser's own checks, and sends it. */
async function submit(page, form, fields) {
  await page.$eval(form, (element) => { element.noValidate = true; });
  for (const [name, value] of Object.entries(fields)) await page.fill(`${form} [name=${name}]`, value);
  await Promise.all([page.waitForEvent('load'), page.click(`${form} button[type=submit]`)]);
}

test('the PIN: asked for, wrong, too often', async () => {
  const id = await record('Untuk yang diberi tahu', 'pin');
  const { page, context } = await visitor(browser, box.url, { viewport: { width: 390, height: 844 } });
  await page.goto(`/watch/${id}`);
  await look(page, 'PIN');
  await submit(page, 'main form', { pin: '000001' });
  assert.equal(await faults(page), 1);
  await look(page, 'wrong PIN');
  // Tries come back with time, so a slow browser has more of them.
  for (let i = 0; i < 200; i++) {
    await submit(page, 'main form', { pin: '000002' });
    if (!await page.locator('main form [name=pin]').count()) break;
  }
  assert.equal(await page.locator('main form [name=pin]').count(), 0, 'it is not asked for without end');
  await look(page, 'too many PINs');
  await context.close();
});

test('refusals say what to do', async () => {
  const id = await record('Hanya petugas', 'staff');
  const { page, context } = await visitor(browser, box.url);
  const visit = async (path) => (await page.goto(path)).status();
  assert.equal(await visit('/nowhere'), 404);
  await look(page, '404');
  await page.goto(`/watch/${id}`);
  assert.match(page.url(), /\/login\?next=/);
  await signIn(page, VIEWER);
  for (const path of [`/watch/${id}`, '/studio', '/admin', '/admin/accounts']) {
    assert.equal(await visit(path), 403, path);
    assert.ok((await page.textContent('main')).trim().length > 40);
    await look(page, `403 of ${path}`);
  }
  await context.close();
});

test('the studio on air, with a mistake in the next broadcast', async () => {
  const { page } = admin;
  const { id } = await call('POST', '/broadcasts', { title: 'Mengudara', source: 'test', audience: 'pin' });
  await live(id);
  await page.goto('/studio');
  await moving(page);
  await page.waitForSelector('body.is-on-air');
  await look(page, 'studio on air with a PIN');
  await page.goto('/studio?another=1');
  await look(page, 'studio, another broadcast');
  await page.setViewportSize({ width: 390, height: 844 });
  await look(page, 'studio on air, on a phone');
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.click('[data-air-end] button');
  await page.click('dialog button[value=end]');
  await page.waitForSelector('[data-done]:not([hidden])');
  await look(page, 'studio, ended');
});

test('the studio listens to the microphone that is chosen', async () => {
  const { page, context } = await visitor(browser, box.url);
  await signIn(page, ADMIN);
  // A machine of CI has no camera, so its events are told by the test.
  const microphones = [{ id: 'mic-own', label: 'Logitech C920' }, { id: 'mic-other', label: 'USB Lavalier' }];
  const camera = { id: 'cam-one', kind: 'camera', label: 'Logitech C920', ready: true, needs_no_encoding: false, microphones, formats: [] };
  const status = { sources: [camera], broadcasts: [], disk_left_s: 7200, disk_free_bytes: 1e9 };
  const level = (db) => ({ source: camera.id, peak_db: [db], rms_db: [db] });
  const event = (name, data) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
  const [heard, seen] = [[], []];
  await page.route(/\/studio\/events\?/, (route) => {
    const asked = new URL(route.request().url()).searchParams;
    heard.push(`${asked.get('source')} ${asked.get('microphone')}`);
    const db = asked.get('microphone') === 'mic-other' ? -6 : -30;
    return route.fulfill({ contentType: 'text/event-stream', body: `retry: 60000\n${event('status', status)}${event('level', level(db))}` });
  });
  await page.route(/\/studio\/preview\/.*main/, (route) => {
    seen.push(new URL(route.request().url()).searchParams.get('microphone'));
    return route.abort();
  });
  const shows = (height) => page.waitForFunction((scale) => document.querySelector('[data-meter] .fill').style.transform === `scaleY(${scale})`, height);
  await page.goto('/studio');
  await shows(0.5);
  assert.equal(heard.at(-1), 'cam-one mic-own', 'a camera that is plugged in later comes with its own microphone');
  assert.deepEqual(await page.locator('#microphone option').evaluateAll((all) => all.map(({ value }) => value)), ['mic-own', 'mic-other', 'none']);
  await page.selectOption('#microphone', 'mic-other');
  await shows(0.9);
  assert.equal(heard.at(-1), 'cam-one mic-other');
  assert.equal(seen.at(-1), 'mic-other');
  await page.selectOption('#microphone', 'none');
  await shows(0.5);
  assert.deepEqual([heard.at(-1), seen.at(-1)], ['cam-one none', 'none'], 'no sound is a choice, too');
  await context.close();
});

test('slides are chosen in the studio, seen before anybody else does, and go on air', async () => {
  const { page } = admin;
  await page.goto('/studio');
  await page.waitForSelector('[data-check=picture][data-is=good]');
  const again = page.waitForResponse((reply) => /\/studio\/preview\/test\/main\.m3u8\?.*content=slides/.test(reply.url()) && reply.ok());
  await page.check('[name=content][value=slides]');
  assert.match(await (await again).text(), /FRAME-RATE=15\.000/);
  await page.waitForSelector('[data-check=picture][data-is=good]');
  await look(page, 'studio, slides');
  await page.fill('#title', 'Tulisan di layar');
  await page.click('[data-go]');
  await page.waitForSelector('body.is-on-air');
  const { id, content } = (await call('GET', '/broadcasts')).items.find(({ title }) => title === 'Tulisan di layar');
  assert.equal(content, 'slides');
  await live(id);
  assert.equal((await call('GET', `/broadcasts/${id}`)).renditions[0].frame_rate, 15);
  await call('POST', `/broadcasts/${id}/end`);
  await page.waitForSelector('body.is-on-air', { state: 'detached' });
});

test('without JavaScript the studio shows mistakes on the page', async () => {
  const { page, context } = await visitor(browser, box.url, { javaScriptEnabled: false });
  await signIn(page, ADMIN);
  await page.goto('/studio');
  await page.fill('#title', '   ');
  await page.click('[data-prepare] [data-go]');
  assert.ok(await page.locator('[aria-invalid=true]').count() > 0);
  await context.close();
});

test('keys: one with a mistake, one that is shown, one in use', async () => {
  const { page } = admin;
  const form = 'form[action="/studio/keys"]';
  await page.goto('/studio/keys');
  await submit(page, form, { label: ' ' });
  assert.equal(await faults(page), 1);
  await look(page, 'a key without a name');
  const waits = page.locator(`${form} label:has([name=auto_live][value="0"])`);
  const words = await waits.locator('span span').first().textContent();
  await waits.click();
  await submit(page, form, { label: 'Ponsel' });
  assert.ok((await page.inputValue('#key')).length >= 20);
  assert.ok((await page.textContent('li:has(strong:has-text("Ponsel"))')).includes(words), `the list says: ${words}`);
  const { items } = await call('GET', '/stream-keys');
  assert.deepEqual(items.map(({ label, auto_live: auto }) => [label, auto]), [['Ponsel', false]]);
  await look(page, 'a key that is shown');
  await page.click('.confirm summary');
  await look(page, 'revoking a key');
});

test('recordings and the trash, with mistakes and questions', async () => {
  const { page } = admin;
  const id = await record('Akan dibuang');
  await page.goto(`/admin/recordings/${id}`);
  await submit(page, 'form.panel', { title: ' ', tags: 'x'.repeat(60) });
  assert.ok(await faults(page) >= 1);
  await look(page, 'a recording with mistakes');
  await page.goto(`/admin/recordings/${id}`);
  await page.click('.confirm summary');
  await look(page, 'deleting a recording');
  await page.click('.confirm button');
  await page.goto('/admin/trash');
  for (const summary of await page.locator('main details > summary').all()) await summary.click();
  await look(page, 'trash, opened');
  await page.goto('/admin/recordings?q=zzz');
  await look(page, 'recordings, nothing found');
  await page.goto('/?q=%21%21');
  await look(page, 'home, nothing found');
});

test('the console complains of nothing but the refusals that were asked for', () => {
  const refusals = /status of 4\d\d/;
  assert.deepEqual(admin.complaints.filter((text) => !refusals.test(text)), []);
});
