// What processes cost: processor time and memory of one and all its children, from /proc.
import { readFileSync, readdirSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { once } from 'node:events';

const TICKS = 100; // of /proc/PID/stat per second, on every Linux that Debian runs on

const started = new Set();
process.on('exit', () => started.forEach((child) => child.kill('SIGKILL')));

/** Starts a program that ends with this one at the latest. */
export function start(command, args, options = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  started.add(child);
  child.said = '';
  child.stderr?.on('data', (text) => { child.said = (child.said + text).slice(-4000); });
  child.on('exit', () => started.delete(child));
  child.on('error', (error) => { throw error; });
  return child;
}

/** Asks it to stop and waits until it has. */
export async function stop(child, signal = 'SIGTERM') {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  await once(child, 'exit');
}

/** A TCP port of loopback that nothing uses. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

const stat = (pid) => {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ');
    return { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]), dead: Number(fields[13]) + Number(fields[14]) };
  } catch {
    return null; // it has just ended
  }
};

/** The process and all that descend from it. */
export function tree(root) {
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number);
  const parents = new Map(processes.map((pid) => [pid, stat(pid)?.parent]));
  const family = [root];
  for (const member of family) family.push(...processes.filter((pid) => parents.get(pid) === member));
  return family;
}

/** Processor seconds of the process and its family so far. */
export function cpuSeconds(root) {
  return tree(root).map(stat).reduce((sum, one) => sum + (one ? one.ticks + one.dead : 0), 0) / TICKS;
}

/** Its own proportional share of memory, in MB. */
export function memoryMb(pid) {
  const kilobytes = /^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1];
  return Number(kilobytes) / 1024;
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Tries `probe` until it gives something, at most `seconds`. */
export async function until(seconds, what, probe) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    try {
      const value = await probe();
      if (value) return value;
    } catch (error) {
      if (Date.now() > end) throw new Error(`${what}: ${error.message}`);
    }
    if (Date.now() > end) throw new Error(`${what}: not within ${seconds} s`);
    await sleep(50);
  }
}

/** The value below which the share `q` of them lies. */
export function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}
