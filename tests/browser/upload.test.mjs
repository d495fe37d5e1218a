// Sending files: paused and resumed, cut off by a killed server, gone on with after a reload, cancelled, dropped, and without JavaScript.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PATIENCE, look, openBrowser, visitor } from './browser.mjs';
import { ADMIN, startBox, until } from './box.mjs';

let box;
let browser;
let staff;
let network;
let folder;
/** Name to bytes of what is sent. */
const files = {};

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'siaran-upload-'));
  for (const [name, length] of [['Kelas ibu.mp4', 4_000_000], ['Senam hamil.mov', 2_000_000], ['Batal.mkv', 3_000_000], ['Seret.webm', 20_000], ['Formulir.mp4', 300_000]]) {
    files[name] = randomBytes(length);
    writeFileSync(join(folder, name), files[name]);
  }
  box = await startBox({ admin: true, env: { SIARAN_UPLOAD_MAX_BYTES: '5000000' } });
  browser = await openBrowser();
  staff = await signedIn();
  network = await staff.context.newCDPSession(staff.page);
  await network.send('Network.enable');
});

after(async () => {
  await browser?.close();
  const code = await box?.stop();
  rmSync(folder, { recursive: true, force: true });
  if (box) assert.equal(code, 0, 'the program stops with 0');
});

async function signedIn(options) {
  const one = await visitor(browser, box.url, options);
  // Whoever leaves while a file is under way is asked.
  one.page.on('dialog', (dialog) => dialog.accept());
  await one.page.goto('/login');
  await one.page.fill('[name=username]', ADMIN.username);
  await one.page.fill('[name=password]', ADMIN.password);
  await one.page.click('main button[type=submit]');
  await one.page.waitForURL((url) => url.pathname !== '/login');
  return one;
}

const path = (name) => join(folder, name);
const row = (name) => `[data-live] .upload:has([data-name]:text-is("${name}"))`;
const state = (page, name, wanted) => page.waitForSelector(`${row(name)}[data-state=${wanted}]`);
const sent = (page, name) => page.$eval(`${row(name)} progress`, ({ value }) => value);
const untilSent = (page, name, least) => until(async () => (await sent(page, name)) > least, PATIENCE);

/** Bytes a second that go out; 0 for as many as there may be. */
async function throttle(bytes) {
  await network.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: bytes || -1 });
}

/** All files below a folder of the box's data. */
function below(name) {
  const found = [];
  for (const entry of readdirSync(join(box.data, name), { recursive: true })) {
    const at = join(box.data, name, entry);
    try { if (statSync(at).isFile()) found.push(readFileSync(at)); } catch { /* It has just been moved. */ }
  }
  return found;
}

const arrived = (name) => until(() => below('import').some((bytes) => bytes.equals(files[name])), PATIENCE);

test('two files: one is paused, the other meets a server that is killed; both arrive', async () => {
  const { page } = staff;
  await page.goto('/studio');
  await page.click('a[href="/studio/upload"]');
  await look(page, 'upload');
  await throttle(300_000);
  await page.setInputFiles('#file', [path('Kelas ibu.mp4'), path('Senam hamil.mov')]);
  await state(page, 'Kelas ibu.mp4', 'sending');
  await untilSent(page, 'Kelas ibu.mp4', 100_000);
  await page.click(`${row('Kelas ibu.mp4')} [data-turn]`);
  await state(page, 'Kelas ibu.mp4', 'paused');
  const paused = await sent(page, 'Kelas ibu.mp4');
  await untilSent(page, 'Senam hamil.mov', 100_000);
  assert.match(await page.textContent(`${row('Senam hamil.mov')} [data-numbers]`), /% · .* dari 2 MB/);
  await look(page, 'uploads, one paused');

  let asked = 0;
  page.on('request', (request) => { if (request.method() === 'HEAD') asked += 1; });
  await box.killAndRestart();
  await throttle(0);
  await state(page, 'Senam hamil.mov', 'done');
  assert.ok(asked > 0, 'the page asked how much had come');
  await arrived('Senam hamil.mov');

  assert.equal(await sent(page, 'Kelas ibu.mp4'), paused, 'what is paused stands still');
  await throttle(300_000);
  await page.route('**/api/v1/uploads/*', (route) => route.abort());
  await page.click(`${row('Kelas ibu.mp4')} [data-turn]`);
  await state(page, 'Kelas ibu.mp4', 'lost');
  await look(page, 'an upload without a connection');
  await page.unroute('**/api/v1/uploads/*');
  await state(page, 'Kelas ibu.mp4', 'sending');
  await untilSent(page, 'Kelas ibu.mp4', paused + 100_000);
});

test('after a reload the same file goes on where it was', async () => {
  const { page } = staff;
  await page.reload();
  await page.waitForSelector('[data-unfinished]');
  assert.match(await page.textContent('[data-unfinished]'), /Kelas ibu\.mp4/);
  const had = await page.$eval('[data-unfinished] progress', ({ value }) => value);
  assert.ok(had > 100_000, `${had} bytes had come`);
  await look(page, 'an unfinished upload');
  const offsets = [];
  page.on('request', (request) => { if (request.method() === 'PATCH') offsets.push(Number(request.headers()['upload-offset'])); });
  await throttle(0);
  await page.setInputFiles('#file', path('Kelas ibu.mp4'));
  await state(page, 'Kelas ibu.mp4', 'done');
  assert.equal(await page.locator('[data-unfinished]').count(), 0, 'one row for one file');
  assert.ok(offsets.length === 1 && offsets[0] >= had, `it went on at ${offsets}`);
  await look(page, 'uploads that have arrived');
  await arrived('Kelas ibu.mp4');
});

test('what is cancelled is gone; what cannot be sent says why', async () => {
  const { page } = staff;
  await throttle(200_000);
  await page.setInputFiles('#file', path('Batal.mkv'));
  await untilSent(page, 'Batal.mkv', 100_000);
  await page.click(`${row('Batal.mkv')} [data-cancel]`);
  await page.waitForSelector('dialog[open]');
  await look(page, 'cancelling an upload');
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog[open]', { state: 'detached' });
  assert.equal(await page.locator(row('Batal.mkv')).count(), 1);
  await page.click(`${row('Batal.mkv')} [data-cancel]`);
  await page.click('dialog button[value=cancel]');
  await page.waitForSelector(row('Batal.mkv'), { state: 'detached' });
  await throttle(0);
  await page.goto('/studio/upload');
  assert.equal(await page.locator('[data-unfinished]').count(), 0);
  assert.ok(!below('uploads').some((bytes) => bytes.length > 10_000), 'nothing is kept of it');

  await page.setInputFiles('#file', [
    { name: 'Besar.mp4', mimeType: 'video/mp4', buffer: Buffer.alloc(5_000_001) }, { name: 'Kosong.mp4', mimeType: 'video/mp4', buffer: Buffer.alloc(0) },
  ]);
  await state(page, 'Besar.mp4', 'failed');
  assert.match(await page.textContent(row('Besar.mp4')), /terlalu besar/);
  assert.match(await page.textContent(row('Kosong.mp4')), /kosong/);
  await look(page, 'uploads that were refused');
  for (const name of ['Besar.mp4', 'Kosong.mp4']) await page.click(`${row(name)} [data-cancel]`);
  assert.equal(await page.locator('[data-live] .upload').count(), 0);
});

test('a file that is dropped is sent', async () => {
  const { page } = staff;
  const dropped = await page.evaluateHandle((text) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], 'Seret.webm', { type: 'video/webm' }));
    return transfer;
  }, files['Seret.webm'].toString('base64'));
  await page.dispatchEvent('[data-drop]', 'drop', { dataTransfer: dropped });
  await state(page, 'Seret.webm', 'done');
  await arrived('Seret.webm');
});

test('without JavaScript one file goes with the form', async () => {
  const { page, context, complaints } = await signedIn({ javaScriptEnabled: false, viewport: { width: 390, height: 844 } });
  await page.goto('/studio/upload');
  await page.setInputFiles('#file', path('Formulir.mp4'));
  await page.click('[data-drop] button[type=submit]');
  await page.waitForURL(/done=uploaded/);
  assert.match(await page.textContent('.notice'), /sudah sampai/);
  await arrived('Formulir.mp4');
  assert.deepEqual(complaints, []);
  await context.close();
});

// 409: a browser repeats by itself what a dead connection had begun, and then asks how far it has come.
test('the console complains of nothing but the server that was gone', () => {
  assert.deepEqual(staff.complaints.filter((said) => !/ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_SOCKET|ERR_FAILED|409|423/.test(said)), []);
});
