// Starts the real program on free ports with a data directory of its own, and stops it again.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const START_MS = 30_000;
const STOP_MS = 8_000;

/** The admin of a box that is started with `admin`. */
export const ADMIN = { username: 'dr.wulan', password: 'empat kata yang panjang' };

/**
 * @param {{bin?: string, env?: object, admin?: boolean, https?: boolean, disk?: string}} options
 *   admin: the box has its first admin already; https: it listens for HTTPS, too, with a certificate of its own;
 *   disk: its data lies on a disk of its own of this size (`64m`), which takes root.
 * @returns {Promise<{url: string, https?: string, rtmp: string, setup?: string, pid: number, data: string, stop: () => Promise<number|null>, killAndRestart: () => Promise<void>, log: () => string}>}
 */
export async function startBox({ bin = process.env.SIARAN_BIN, env = {}, admin = false, https = false, disk } = {}) {
  if (!bin) throw new Error('SIARAN_BIN names the program to test');
  // The program reads its settings from SIARAN_…; those of whoever runs the tests are not meant.
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SIARAN_')));
  const data = mkdtempSync(join(tmpdir(), 'siaran-browser-'));
  if (admin) execFileSync(bin, ['account', 'add', ADMIN.username, '--role', 'admin', '--password-stdin', '--data', data], { input: ADMIN.password });
  const listen = ['--http', '127.0.0.1:0', '--https', https ? '127.0.0.1:0' : 'off', '--rtmp', '127.0.0.1:0'];
  let child;
  let gone;
  let [out, err] = ['', ''];
  const run = (addresses) => {
    out = '';
    const serve = [bin, 'serve', '--data', data, ...addresses];
    // In a namespace of its own, the disk is gone with the program.
    const mount = `mount -t tmpfs -o size=${disk},mode=700 tmpfs "$0" && exec "$@"`;
    const [command, ...rest] = disk ? ['unshare', '--mount', 'sh', '-c', mount, data, ...serve] : serve;
    child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...clean, ...env } });
    child.stdout.setEncoding('utf8').on('data', (text) => { out += text; });
    child.stderr.setEncoding('utf8').on('data', (text) => { err += text; });
    gone = new Promise((resolve) => { child.once('exit', resolve); });
  };
  run(listen);

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
    return line && (setup || admin) ? { line, setup } : null;
  }, START_MS).catch(async (error) => { await stop(); throw new Error(`${error.message}\nstdout: ${out}\nstderr: ${err}`); });
  const addresses = Object.fromEntries(ready.line.split(' ').map((entry) => entry.split(/=(.*)/s)));
  const url = addresses.http;
  // The console may name the box by another of its names; the ports are the same.
  const setup = ready.setup && new URL(new URL(ready.setup).pathname + new URL(ready.setup).search, url).href;
  /** kill -9, and started again on the same addresses. */
  const killAndRestart = async () => {
    child.kill('SIGKILL');
    await gone;
    const at = (address) => (address ? new URL(address.replace(/^rtmp/, 'http')).host : 'off');
    run(['--http', at(url), '--https', at(addresses.https), '--rtmp', at(addresses.rtmp)]);
    await until(() => /^ready /m.test(out), START_MS);
  };
  return { url, https: addresses.https, rtmp: addresses.rtmp, setup, data, get pid() { return child.pid; }, stop, killAndRestart, log: () => err };
}

/** Calls the box's API as its admin. */
export async function signedIn({ url }) {
  const ask = async (method, path, body, headers = {}) => {
    const answer = await fetch(`${url}/api/v1${path}`, { method, headers: { 'Content-Type': 'application/json', ...headers }, body: body && JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text && JSON.parse(text);
  };
  const { token } = await ask('POST', '/session', ADMIN);
  return (method, path, body) => ask(method, path, body, { Authorization: `Bearer ${token}` });
}

/** Process id of the worker that encodes: of the box's children the one with the most threads. */
export function worker({ pid }) {
  const found = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    try {
      // Behind the name in parentheses: state, parent, …; the number of threads is field 20 (proc(5)).
      const fields = readFileSync(`/proc/${name}/stat`, 'utf8').split(') ').pop().split(' ');
      return Number(fields[1]) === pid && fields[0] !== 'Z' ? [{ pid: Number(name), threads: Number(fields[17]) }] : [];
    } catch { return []; } // it has just ended
  });
  return found.sort((a, b) => b.threads - a.threads)[0]?.pid;
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
