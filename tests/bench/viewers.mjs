// Many viewers of one low-latency playlist, each with a connection of its own: they wait for the next part, fetch it, forget it.
import { Agent, get } from 'node:http';

const fetchOver = (agent, url) => new Promise((done, failed) => {
  get(url, { agent }, (reply) => {
    const pieces = [];
    reply.on('data', (piece) => pieces.push(piece));
    reply.on('end', () => (reply.statusCode === 200 ? done(Buffer.concat(pieces)) : failed(new Error(`${reply.statusCode} ${url}`))));
  }).on('error', failed);
});

/** The media playlist that a multivariant playlist names first. */
export async function mediaPlaylist(multivariant) {
  const text = await (await fetch(multivariant)).text();
  const first = text.split('\n').find((line) => line && !line.startsWith('#'));
  return new URL(first, multivariant).href;
}

/** What is listed: address of each part, and of what segment and part the next would be. */
export function listed(text, base) {
  const first = Number(/#EXT-X-MEDIA-SEQUENCE:(\d+)/.exec(text)?.[1] ?? 0);
  let segment = first, part = 0;
  const parts = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('#EXT-X-PART:')) {
      parts.push(new URL(/URI="([^"]+)"/.exec(line)[1], base).href);
      part++;
    } else if (line && !line.startsWith('#')) {
      segment++;
      part = 0;
    }
  }
  return { parts, segment, part };
}

/** Starts `count` viewers; `end()` stops them and tells what they got. */
export function viewers(count, playlist) {
  let going = true, bytes = 0, parts = 0, errors = 0;
  const one = async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    let state = listed((await fetchOver(agent, playlist)).toString(), playlist);
    while (going) {
      try {
        const last = state.parts.at(-1);
        const text = (await fetchOver(agent, `${playlist}?_HLS_msn=${state.segment}&_HLS_part=${state.part}`)).toString();
        state = listed(text, playlist);
        const fresh = state.parts.slice(state.parts.lastIndexOf(last) + 1).slice(-5);
        for (const part of fresh) {
          bytes += (await fetchOver(agent, part)).length;
          parts++;
        }
      } catch (error) {
        errors++;
        if (errors === 1) console.error(`viewer: ${error.message}`);
        await new Promise((done) => setTimeout(done, 200));
      }
    }
    agent.destroy();
  };
  const all = Array.from({ length: count }, one);
  return {
    async end() {
      going = false;
      await Promise.allSettled(all);
      return { bytes, parts, errors };
    },
  };
}
