// The whole walk without a pointer: signing in, going live, ending, playing again. Whatever has the focus shows it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { moving, openBrowser, video, visitor } from './browser.mjs';
import { ADMIN, startBox } from './box.mjs';

/** No page of ours has so many stops. */
const MOST_STOPS = 60;

let box;
let browser;

before(async () => {
  box = await startBox({ admin: true, env: { SIARAN_VIDEO_HEIGHT: '240' } });
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  const code = await box?.stop();
  if (box) assert.equal(code, 0, 'the program stops with 0');
});

/** What has the focus, inside of components too: whether it is `wanted`, what it is, and whether one can see that it has it. */
function focus(page, wanted) {
  return page.evaluate((selector) => {
    const chain = [];
    for (let at = document.activeElement; at; at = at.shadowRoot?.activeElement) chain.push(at);
    const ring = (element) => {
      const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(element);
      return (outlineStyle !== 'none' && parseFloat(outlineWidth) >= 1) || boxShadow !== 'none';
    };
    const inside = [...(chain.at(-1).shadowRoot?.querySelectorAll('*') ?? [])];
    const around = chain.at(-1).closest('label');
    const box = chain.at(-1).getBoundingClientRect();
    return {
      wanted: chain.some((element) => element.matches(selector)),
      what: chain.map((element) => element.outerHTML.slice(0, 120)).join(' > '),
      nothing: chain.length === 1 && chain[0] === document.body,
      shown: [...chain.slice(1), chain[0], ...inside, around].filter(Boolean).some(ring) && (around || box.width + box.height > 0),
    };
  }, wanted);
}

/** Goes by Tab until `selector` has the focus; every stop on the way must show. */
async function tabTo(page, selector) {
  const passed = [];
  for (let i = 0; i < MOST_STOPS; i++) {
    const now = await focus(page, selector);
    if (!now.nothing) assert.ok(now.shown, `the focus cannot be seen on ${now.what}`);
    if (now.wanted) return;
    passed.push(now.what);
    await page.keyboard.press('Tab');
  }
  assert.fail(`Tab does not lead to ${selector}:\n${passed.join('\n')}`);
}

test('the walk by keyboard alone', async () => {
  const { page, complaints } = await visitor(browser, box.url);
  await page.goto('/');
  await page.keyboard.press('Tab');
  assert.ok((await focus(page, '.skip')).wanted, 'the first stop leads past the head of the page');
  await tabTo(page, 'a[href^="/login"]');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/login/);
  await tabTo(page, '[name=username]');
  await page.keyboard.type(ADMIN.username);
  await page.keyboard.press('Tab');
  await tabTo(page, '[name=password]');
  await page.keyboard.type(ADMIN.password);
  await page.keyboard.press('Enter');
  await page.waitForURL((url) => url.pathname !== '/login');
  await tabTo(page, 'a[href="/studio"]');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/studio/);

  await page.waitForSelector('[data-check=picture][data-is=good]');
  await tabTo(page, '[data-listen]');
  await tabTo(page, '[name=source]');
  await page.keyboard.press('Space');
  assert.ok(await page.isChecked('[name=source][value=test]'));
  await tabTo(page, '#title');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('Dengan papan ketik');
  await tabTo(page, '[name=audience]');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowUp');
  await tabTo(page, '[data-go]');
  await page.keyboard.press('Enter');
  await page.waitForSelector('body.is-on-air');
  await page.waitForFunction(() => document.activeElement.matches('[data-air-title]'));
  assert.ok((await focus(page, '[data-air-title]')).shown, 'the focus goes on to the broadcast');

  await page.waitForFunction(() => document.querySelector('[data-air-list] [data-air-elapsed]').textContent > '0:08');
  await tabTo(page, '[data-air-end] button');
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog[open]');
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog[open]', { state: 'detached' });
  assert.ok((await focus(page, '[data-air-end] button')).wanted, 'the focus comes back');
  await page.keyboard.press('Space');
  await page.waitForSelector('dialog[open]');
  await tabTo(page, 'dialog button[value=end]');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.activeElement.matches('[data-done-link]'));
  assert.ok((await focus(page, '[data-done-link]')).shown, 'the focus goes on to the recording');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/watch\//);

  await moving(page);
  await tabTo(page, 'media-play-button');
  await page.keyboard.press('Space');
  await page.waitForFunction(() => document.querySelector('video').paused || document.querySelector('video').ended);
  await tabTo(page, 'media-time-range');
  await page.keyboard.press('Home');
  await page.waitForFunction(() => document.querySelector('video').currentTime < 0.5);
  await page.keyboard.press('Shift+Tab');
  for (let i = 0; i < MOST_STOPS && !(await focus(page, 'media-play-button')).wanted; i++) await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await moving(page, 0.5);
  await page.waitForFunction(() => document.querySelector('video').ended, null, { timeout: 60_000 });
  const { time, duration } = await video(page);
  assert.ok(duration > 1 && time > duration - 0.5);
  assert.deepEqual(complaints, []);
});
