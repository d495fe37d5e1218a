// Whether a ladder is carried: what the last rung loses, how late its parts are, and what happens when a core is taken away.
import { availableParallelism } from 'node:os';
import { goLive, siaran } from './servers.mjs';
import { quantile, sleep, start, stop, until } from './processes.mjs';

/** A rung is to be left out within so long of a load that is too much, and to be back within so long of its end. Seconds. */
const [SHED_WITHIN, BACK_WITHIN] = [20, 200];

/** Follows a low-latency playlist: how far behind its end each part is listed, in milliseconds. */
function follow(playlist) {
  const seen = [];
  let going = true;
  const reading = (async () => {
    let [query, hold, known] = ['', 0, 0];
    while (going) {
      const text = await (await fetch(playlist + query)).text();
      const now = Date.now();
      hold = 1000 * Number(/PART-HOLD-BACK=([\d.]+)/.exec(text)?.[1] ?? 0.6);
      let [segment, part, end] = [Number(/#EXT-X-MEDIA-SEQUENCE:(\d+)/.exec(text)?.[1] ?? 0), 0, 0];
      for (const line of text.split('\n')) {
        if (line.startsWith('#EXT-X-PROGRAM-DATE-TIME:')) end = Date.parse(line.slice(25));
        else if (line.startsWith('#EXT-X-PART:')) {
          end += 1000 * Number(/DURATION=([\d.]+)/.exec(line)[1]);
          part++;
          if (end > known + 1) {
            // What was there before anybody looked says nothing.
            if (known) seen.push({ now, behind: now - end, hold });
            known = Math.max(known, end);
          }
        } else if (line && !line.startsWith('#')) {
          segment++;
          part = 0;
        }
      }
      query = `?_HLS_msn=${segment}&_HLS_part=${part}`;
    }
  })();
  return { seen, end: () => { going = false; return reading; } };
}

/** The newest status that the studio's page is told. */
function statusOf({ http, token }) {
  const told = { newest: null };
  const reading = (async () => {
    const reply = await fetch(`${http}/studio/events`, { headers: { authorization: `Bearer ${token()}` } });
    if (!reply.ok) throw new Error(`/studio/events: ${reply.status}`);
    let text = '';
    for await (const piece of reply.body.pipeThrough(new TextDecoderStream())) {
      text += piece;
      for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
        const lines = text.slice(0, end).split('\n');
        if (lines.includes('event: status')) told.newest = JSON.parse(lines.find((line) => line.startsWith('data:')).slice(5));
      }
    }
  })();
  reading.catch(() => {}); // the server has ended
  return told;
}

/** A process that wants all of a core, and gets what its niceness gives it. */
const busy = (core, nice) => start('taskset', ['-c', String(core), 'nice', '-n', String(nice), 'sh', '-c', 'while :; do :; done']);

export async function steady(say, seconds) {
  const ours = await siaran({ ladder: true });
  const { id } = await goLive(ours);
  await sleep(5000);
  const told = statusOf(ours);
  const of = async () => ours.api('GET', `/broadcasts/${id}`);
  const { renditions } = await of();
  const last = `${ours.http}/media/${id}/av${renditions.length > 1 ? renditions.length - 1 : ''}/index.m3u8`;
  const parts = follow(last);
  const air = () => told.newest?.broadcasts.find((one) => one.id === id);
  await until(10, 'the studio is told of it', async () => air());
  const between = (from, to = Infinity) => parts.seen.filter(({ now }) => now >= from && now < to);
  const report = (what, from, to) => {
    const some = between(from, to);
    const late = some.filter(({ behind, hold }) => behind > hold).length;
    say('steady', `${what}: last rung's parts, 95th percentile and latest`, `${Math.round(quantile(some.map(({ behind }) => behind), 0.95))}, ${Math.round(Math.max(...some.map(({ behind }) => behind)))} ms`);
    say('steady', `${what}: of ${some.length} parts, later than players wait`, String(late), 'aim: 0');
  };

  const [begin, dropped] = [Date.now(), air().frames_dropped];
  let shed = 0;
  while (Date.now() < begin + seconds * 1000) {
    if ((await of()).health !== 'ok') shed++;
    await sleep(250);
  }
  const heights = renditions.map(({ height }) => `${height}p`).join(', ');
  say('steady', `${heights} for ${seconds} s: frames dropped of the last rung`, String(air().frames_dropped - dropped), 'aim: 0');
  say('steady', `${heights} for ${seconds} s: looks at which a rung was left out`, String(shed), 'aim: 0');
  report(`${seconds} s`, begin);

  // One core after the other, until it is too much; the first one whole, of the others more and more.
  const loads = [];
  const cores = availableParallelism();
  const steps = [[0, -20], ...Array.from({ length: cores - 1 }, (_, core) => [0, -5, -10, -15, -20].map((nice) => [core + 1, nice])).flat()];
  let [taken, left, without] = [0, null, null];
  for (const [core, nice] of steps) {
    loads.push(busy(core, nice));
    taken = Date.now();
    left = [core, nice];
    const before = air().frames_dropped;
    try {
      await until(SHED_WITHIN / 2, 'a rung is left out', async () => (await of()).health !== 'ok');
      without = { after: Date.now() - taken, before };
      break;
    } catch {
      say('steady', `with a load on ${core + 1} of ${cores} cores (nice ${nice})`, 'carried');
    }
  }
  if (without) {
    say('steady', `with a load on ${left[0] + 1} of ${cores} cores (nice ${left[1]}): a rung is left out after`, `${(without.after / 1000).toFixed(1)} s`, 'aim: 5 s');
    await sleep(15_000);
    report('under the load', taken);
    say('steady', 'under the load: frames dropped of the last rung', String(air().frames_dropped - without.before), 'aim: 0');
    say('steady', 'under the load: what is left', `${air().health} ${air().most_lines ?? ''}`);
  }
  await Promise.all(loads.map((load) => stop(load, 'SIGKILL')));
  const over = Date.now();
  if (without) {
    await until(BACK_WITHIN, 'the whole ladder is back', async () => (await of()).health === 'ok');
    say('steady', 'without the load: the whole ladder is back after', `${((Date.now() - over) / 1000).toFixed(0)} s`);
    report('without the load', over + 1000);
  }
  await ours.api('POST', `/broadcasts/${id}/end`);
  await parts.end();
  await ours.end();
}
