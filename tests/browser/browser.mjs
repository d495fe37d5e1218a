// A browser that notes every complaint of the console, and looks at pages with axe-core.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
  '--disable-sync',
];
/** Enough for the slowest machine; nothing waits this long when all is well. */
export const PATIENCE = 30_000;

/** @param {string[]} flags besides the usual ones */
export async function openBrowser(flags = []) {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: [...FLAGS, ...flags] });
}

/** A visitor of their own: own cookies, own language; `complaints` gathers what the console says. */
export async function visitor(browser, url, options = {}) {
  const context = await browser.newContext({ baseURL: url, locale: 'id-ID', viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(`${page.url()}: ${error}`));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`${page.url()}: ${message.text()} ${message.location().url}`);
  });
  return { context, page, complaints };
}

/** A phone and a desk. */
const WIDTHS = [390, 1440];

/** Nothing is wider than the page, on a phone or on a desk. */
async function fits(page, name) {
  const usual = page.viewportSize();
  for (const width of WIDTHS) {
    await page.setViewportSize({ ...usual, width });
    const wide = await page.evaluate((limit) => document.documentElement.scrollWidth > limit && [...document.body.querySelectorAll('*')]
      .filter((element) => element.getBoundingClientRect().right > limit).map((element) => element.outerHTML.slice(0, 80)), width);
    assert.equal(wide, false, `${name} is wider than ${width}: ${wide}`);
  }
  await page.setViewportSize(usual);
}

/** No violation of axe-core's rules, contrast included, on the page as it stands, in both lights, and nothing to be pushed sideways. */
export async function look(page, name) {
  await fits(page, name);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    // DevTools' own world: the page's content security policy stays as strict as it is.
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
    const said = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(' ')).join(', ')}`);
    assert.deepEqual(said, [], `axe on ${name} (${colorScheme})`);
  }
  await page.emulateMedia({ colorScheme: null, reducedMotion: null });
}

/** What the page's only video does. */
export function video(page) {
  return page.evaluate(() => {
    const all = document.querySelectorAll('video');
    const [one] = all;
    return { count: all.length, time: one.currentTime, duration: one.duration, paused: one.paused, ended: one.ended, width: one.videoWidth };
  });
}

/** Bytes that a visitor who comes for the first time is sent for a page and what it loads. */
export async function weight(browser, url, path) {
  const { page, context } = await visitor(browser, url);
  await page.goto(path, { waitUntil: 'networkidle' });
  const sizes = await page.evaluate(() => ['navigation', 'resource'].flatMap((kind) => performance.getEntriesByType(kind)).map((entry) => entry.transferSize));
  await context.close();
  assert.ok(sizes.length > 2, 'a page, its style and its script');
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Waits until the picture moves. */
export function moving(page, from = 0) {
  return page.waitForFunction((start) => {
    const one = document.querySelector('video');
    return one && !one.paused && one.videoWidth > 0 && one.currentTime > start;
  }, from);
}

/** Waits until the picture has so many lines. */
export function untilLines(page, wanted) {
  return page.waitForFunction((height) => document.querySelector('video').videoHeight === height, wanted);
}

export function rest(ms) {
  return new Promise((resolve) => { setTimeout(resolve, ms); });
}

/** Notes from now on when each picture is shown (performance.now() and its place in the media), until `pictures` reads it. */
export function notePictures(page) {
  return page.evaluate(() => {
    const one = document.querySelector('video');
    globalThis.pictures = [];
    const note = (now, { mediaTime }) => {
      globalThis.pictures.push({ now, mediaTime });
      one.requestVideoFrameCallback(note);
    };
    one.requestVideoFrameCallback(note);
  });
}

export function pictures(page) {
  return page.evaluate(() => globalThis.pictures);
}

/** Longest time in ms without a new picture, from the first noted until now. */
export function longestGap(noted) {
  return Math.max(...noted.slice(1).map(({ now }, i) => now - noted[i].now));
}
