// A link between a viewer and the box that is as slow as a crowded Wi-Fi: a relay before the program that hands on so many bits a second
// in all, late, and now and then stands still, as a lost packet makes TCP stand still.
import { connect, createServer } from 'node:net';

/** Bytes of one connection that wait in the relay at most; more stay where they come from. */
const WAITING = 32 * 1024;
const PACKET = 1460;
/** How long a lost packet holds up what comes behind it: TCP's shortest retransmission timeout on Linux, ms. */
const RETRANSMISSION = 200;

/** The same numbers from 0 to 1 each time (mulberry32). */
function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * @param {string} url where the box is
 * @param {{kbps: number, delay?: number, loss?: number, seed?: number}} options
 *   kbps: of all connections together; delay: ms each way; loss: share of packets, 0 to 1
 * @returns {Promise<{url: string, set: (kbps: number) => void, close: () => void}>}
 */
export async function openLink(url, { kbps, delay = 10, loss = 0, seed = 1 }) {
  const { hostname, port } = new URL(url);
  const chance = random(seed);
  let rate = kbps;
  let free = 0; // when the air is free again, performance.now()
  const sockets = new Set();

  /** Hands the bytes of one socket to another, over the shared air or only late. */
  const pass = (from, to, onAir) => {
    const packets = [];
    let waiting = 0;
    let last = 0; // when what came before arrives
    let timer;
    const deliver = () => {
      timer = undefined;
      while (packets.length && packets[0].at <= performance.now()) {
        const { bytes } = packets.shift();
        waiting -= bytes.length;
        if (bytes.length) to.write(bytes);
        else to.end();
      }
      if (waiting <= WAITING) from.resume();
      if (packets.length) timer = setTimeout(deliver, packets[0].at - performance.now());
    };
    const send = (bytes) => {
      const now = performance.now();
      let at = now + delay;
      if (onAir) {
        free = Math.max(free, now) + (bytes.length * 8) / rate;
        at = free + delay + (chance() < loss ? RETRANSMISSION : 0);
      }
      last = Math.max(last, at);
      waiting += bytes.length;
      packets.push({ at: last, bytes });
      timer ??= setTimeout(deliver, last - now);
    };
    from.on('data', (bytes) => {
      for (let start = 0; start < bytes.length; start += PACKET) send(bytes.subarray(start, start + PACKET));
      if (waiting > WAITING) from.pause();
    });
    from.on('end', () => send(Buffer.alloc(0)));
    from.on('error', () => to.destroy());
    from.on('close', () => sockets.delete(from));
  };

  const server = createServer({ allowHalfOpen: true }, (viewer) => {
    const box = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    for (const socket of [viewer, box]) sockets.add(socket.setNoDelay());
    pass(box, viewer, true);
    pass(viewer, box, false);
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    set: (next) => { rate = next; },
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
