// Starts the real program on free ports with a data directory of its own, and stops it again.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const START_MS = 30_000;
const STOP_MS = 8_000;

/** @returns {Promise<{url: string, rtmp: string, setup: string, stop: () => Promise<number|null>, log: () => string}>} */
export async function startBox({ bin = process.env.SIARAN_BIN, env = {} } = {}) {
  if (!bin) throw new Error('SIARAN_BIN names the program to test');
  // The program reads its settings from SIARAN_…; those of whoever runs the tests are not meant.
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SIARAN_')));
  const data = mkdtempSync(join(tmpdir(), 'siaran-browser-'));
  const child = spawn(bin, ['serve', '--data', data, '--http', '127.0.0.1:0', '--https', 'off', '--rtmp', '127.0.0.1:0'], {
    stdio: ['ignore', 'pipe', 'pipe'], env: { ...clean, ...env },
  });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text) => { out += text; });
  child.stderr.setEncoding('utf8').on('data', (text) => { err += text; });
  const gone = new Promise((resolve) => child.once('exit', resolve));

  const stop = async () => {
    if (child.exitCode === null) child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    const code = await gone;
    clearTimeout(late);
    rmSync(data, { recursive: true, force: true });
    return code;
  };

  const ready = await until(() => {
    if (child.exitCode !== null) throw new Error(`the program ended at its start:\n${err}`);
    const line = /^ready (.*)$/m.exec(out)?.[1];
    const setup = /https?:\/\/\S*\/setup\S*/.exec(err)?.[0];
    return line && setup ? { line, setup } : null;
  }, START_MS).catch(async (error) => { await stop(); throw new Error(`${error.message}\nstdout: ${out}\nstderr: ${err}`); });
  const addresses = Object.fromEntries(ready.line.split(' ').map((entry) => entry.split(/=(.*)/s)));
  const url = addresses.http;
  // The console may name the box by another of its names; the ports are the same.
  const setup = new URL(new URL(ready.setup).pathname + new URL(ready.setup).search, url).href;
  return { url, rtmp: addresses.rtmp, setup, stop, log: () => err };
}

/** Asks again until `check` gives something, for at most `ms`. */
export async function until(check, ms, every = 50) {
  const end = Date.now() + ms;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (Date.now() > end) throw new Error(`nothing after ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, every));
  }
}
