// What `make bench` measures: siaran beside its peers, in turns within one run, as ratios. Usage: node bench.mjs [PART]...
//   latency  glass to glass in Chromium, against nginx-rtmp's HLS from the same publisher; stalls of one viewer who watches for half
//            a minute, or for ten with latency=600
//   encode   processor seconds a second of 720p30, against gst-launch-1.0 with the same pictures and settings
//   ladder   processor seconds a second of 720p30 in three renditions, against one ffmpeg with the same pictures and settings
//   serve    a segment's requests a second and processor time a GB, against nginx's sendfile of the same bytes
//   start    from the press of Go live to a waiting viewer's first frame, from opening the page of what is on air to its first
//            frame, from End to a playable recording; how far behind the studio's preview is
//   import   seconds that a film takes that is passed on, and one that is encoded, against ffmpeg with the same settings; from dropping
//            a file into the folder to its first frame in Chromium; smaller renditions of a recording, against one ffmpeg
//   steady   what the last rung of a ladder loses in half a minute, or in ten with steady=600; then what happens when cores are taken away
//   memory   of the server and its worker, with 200 viewers
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, renameSync, writeFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { cpuSeconds, memoryMb, quantile, sleep, start, stop, tree, until } from './processes.mjs';
import { notes, publish, takeNotes } from './picture.mjs';
import { goLive, nginx, siaran } from './servers.mjs';
import { steady } from './steady.mjs';
import { listed, mediaPlaylist, viewers } from './viewers.mjs';

const HLS = fileURLToPath(new URL('../../static/node_modules/hls.js/dist/hls.min.js', import.meta.url));
const WATCHED_S = Number(process.env.BENCH_SECONDS ?? 30);

const say = (part, what, value, aim) => console.log(`${part.padEnd(9)}${what.padEnd(58)}${value.padStart(14)}   ${aim ?? ''}`);
const ms = (value) => `${Math.round(value)} ms`;

const browse = () => chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required', '--mute-audio'],
});

/** Watches `url` and gives how far behind each frame was, the first two seconds left out. */
async function behind(browser, url, seconds) {
  const page = await browser.newPage();
  await takeNotes(page);
  await page.goto(url);
  const first = await until(60, `a picture at ${url}`, async () => (await notes(page)).frames[0]);
  await sleep((seconds + 2) * 1000);
  const { frames, stalls, unread } = await notes(page);
  await page.close();
  return { behind: frames.filter(({ now }) => now > first.now + 2000).map((frame) => frame.behind), stalls, unread };
}

async function latency(watched = WATCHED_S) {
  const [ours, theirs, browser] = [await siaran(), await nginx(HLS), await browse()];
  const { key } = await ours.api('POST', '/stream-keys', { label: 'bench' });
  const publisher = publish([`${ours.rtmp}/${key}`, `${theirs.rtmp}/bench`]);
  const broadcast = await until(30, `the publisher is on air (${publisher.process.said})`, async () => (await ours.api('GET', '/broadcasts?state=live')).items[0]);
  await until(30, 'nginx lists fragments', async () => (await fetch(`${theirs.http}/hls/bench.m3u8`)).ok);
  const watch = `${ours.http}/watch/${broadcast.id}`;
  const rounds = { ours: [], theirs: [] };
  for (let round = 0; round < 2; round++) {
    rounds.ours.push(await behind(browser, watch, WATCHED_S / 2));
    rounds.theirs.push(await behind(browser, `${theirs.http}/player.html`, WATCHED_S / 2));
  }
  const long = await behind(browser, watch, watched);
  const [we, they] = [rounds.ours, rounds.theirs].map((all) => all.flatMap((one) => one.behind));
  say('latency', 'siaran, median', ms(quantile(we, 0.5)));
  say('latency', 'siaran, 95th percentile', ms(quantile(we, 0.95)), 'aim: 1000 ms');
  say('latency', `siaran, one viewer for ${watched} s, 95th percentile`, ms(quantile(long.behind, 0.95)), 'aim: 1000 ms');
  say('latency', `siaran, one viewer for ${watched} s, stalls`, String(long.stalls), 'aim: 0');
  say('latency', 'nginx-rtmp with 1 s fragments, median', ms(quantile(they, 0.5)));
  say('latency', 'siaran / nginx-rtmp', (quantile(we, 0.5) / quantile(they, 0.5)).toFixed(2));
  say('latency', 'frames that the publisher sent late', `${(100 * publisher.late()).toFixed(1)} %`);
  await browser.close();
  await publisher.end();
  await Promise.all([ours.end(), theirs.end()]);
}

/** Processor seconds a second that `pid` and its children take. */
async function load(pid, seconds) {
  const [cpu, time] = [cpuSeconds(pid), Date.now()];
  await sleep(seconds * 1000);
  return (cpuSeconds(pid) - cpu) / ((Date.now() - time) / 1000);
}

/** Four seconds of the test pattern, decoded: a file of raw pictures for those that siaran is compared with. */
async function rawPictures(ours) {
  const { id } = await goLive(ours);
  await sleep(6000);
  await ours.api('POST', `/broadcasts/${id}/end`);
  const raw = join('/dev/shm', `siaran-bench-${process.pid}.yuv`);
  process.on('exit', () => rmSync(raw, { force: true }));
  execFileSync('ffmpeg', ['-y', '-v', 'error', '-i', `${ours.http}/media/${id}/download.mp4`, '-t', '4', '-pix_fmt', 'yuv420p', '-f', 'rawvideo', raw]);
  return raw;
}

/** Processor seconds a second of siaran on air and of another program, medians of three turns each. */
async function sideBySide(ours, command, args) {
  const loads = { ours: [], theirs: [] };
  for (let round = 0; round < 3; round++) {
    const { id } = await goLive(ours);
    loads.ours.push(await load(ours.pid, 8));
    await ours.api('POST', `/broadcasts/${id}/end`);
    await sleep(1000);
    const other = start(command, args);
    await sleep(2000);
    loads.theirs.push(await load(other.pid, 8));
    await stop(other, 'SIGINT');
  }
  return [quantile(loads.ours, 0.5), quantile(loads.theirs, 0.5)];
}

async function ladder() {
  const ours = await siaran({ ladder: true });
  const raw = await rawPictures(ours);
  const { id } = await goLive(ours);
  await sleep(3000);
  const { renditions: rungs } = await ours.api('GET', `/broadcasts/${id}`);
  await ours.api('POST', `/broadcasts/${id}/end`);
  const folder = mkdtempSync(join('/dev/shm', 'siaran-bench-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  // The same bit rates as media::rungs plans.
  const kbps = rungs.map(({ width, height }) => Math.round(2500 * ((width * height) / (1280 * 720)) ** 0.85));
  const scaled = rungs.map(({ width, height }, i) => `[c${i}]scale=${width}:${height}:flags=bilinear[v${i}]`);
  const filter = `[0:v]split=${rungs.length}${rungs.map((_, i) => `[c${i}]`).join('')};${scaled.join(';')}`;
  const outputs = rungs.flatMap((_, i) => ['-map', `[v${i}]`, '-map', '1:a', '-c:v', 'libx264', '-preset', 'superfast', '-tune', 'zerolatency', '-b:v', `${kbps[i]}k`,
    '-maxrate', `${kbps[i]}k`, '-bufsize', `${kbps[i]}k`, '-g', '30', '-keyint_min', '1', '-sc_threshold', '0', '-bf', '0', '-c:a', 'aac', '-b:a', '128k',
    '-f', 'hls', '-hls_time', '2', '-hls_segment_type', 'fmp4', '-hls_fmp4_init_filename', `init${i}.mp4`, '-hls_segment_filename', join(folder, `${i}-%d.m4s`), join(folder, `${i}.m3u8`)]);
  const [we, they] = await sideBySide(ours, 'ffmpeg', ['-v', 'error', '-re', '-stream_loop', '-1', '-f', 'rawvideo', '-s', '1280x720', '-r', '30',
    '-pix_fmt', 'yuv420p', '-i', raw, '-re', '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000', '-filter_complex', filter, ...outputs]);
  say('ladder', `siaran on air in ${rungs.map(({ height }) => `${height}p`).join(', ')}, cores`, we.toFixed(3));
  say('ladder', 'ffmpeg with the same renditions, cores', they.toFixed(3));
  say('ladder', 'siaran / ffmpeg', (we / they).toFixed(2), 'aim: 1.00');
  await ours.end();
}

async function encode() {
  const ours = await siaran();
  // The same pictures, decoded once, are what gst-launch-1.0 encodes.
  const raw = await rawPictures(ours);
  const [we, they] = await sideBySide(ours, 'gst-launch-1.0', ['-q', 'multifilesrc', `location=${raw}`, 'loop=true', `blocksize=${1280 * 720 * 3 / 2}`, '!',
    'rawvideoparse', 'format=i420', 'width=1280', 'height=720', 'framerate=30/1', '!', 'identity', 'sync=true', '!', 'x264enc', 'tune=zerolatency',
    'speed-preset=superfast', 'bitrate=2500', 'key-int-max=30', 'bframes=0', 'option-string=scenecut=0:min-keyint=1', '!', 'fakesink']);
  say('encode', 'siaran on air with the test pattern, cores', we.toFixed(3));
  say('encode', 'gst-launch-1.0, the encoder alone, cores', they.toFixed(3));
  say('encode', 'siaran / gst-launch-1.0', (we / they).toFixed(2), 'aim: 1.10');
  await ours.end();
}

/** One run of wrk: requests a second, and the server's processor seconds a GB. */
function wrk(url, pid) {
  const before = cpuSeconds(pid);
  const text = execFileSync('wrk', ['-t', '1', '-c', '16', '-d', '4', url], { encoding: 'utf8' });
  const units = { KB: 1e3, MB: 1e6, GB: 1e9 };
  const [, size, unit] = /requests in [\d.]+\w+, ([\d.]+)(KB|MB|GB) read/.exec(text);
  if (/Non-2xx/.test(text)) throw new Error(`${url}: ${text}`);
  // wrk counts in steps of 1024.
  const gigabytes = (size * units[unit] * (1.024 ** { KB: 1, MB: 2, GB: 3 }[unit])) / 1e9;
  return { rate: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)[1]), cpu: (cpuSeconds(pid) - before) / gigabytes };
}

async function serve() {
  const [ours, theirs] = [await siaran(), await nginx(HLS)];
  const { id, playlist } = await goLive(ours);
  await sleep(6000);
  const onAir = tree(ours.pid).length;
  await ours.api('POST', `/broadcasts/${id}/end`);
  await until(60, 'the source has stopped', async () => tree(ours.pid).length < onAir);
  const media = await mediaPlaylist(playlist);
  const lines = (await (await fetch(media)).text()).split('\n');
  // The second one: the first is cut short, so that viewers see a picture sooner.
  const segment = new URL(lines.filter((line) => line && !line.startsWith('#'))[1], media).href;
  const bytes = Buffer.from(await (await fetch(segment)).arrayBuffer());
  writeFileSync(join(theirs.root, 'segment.m4s'), bytes);
  const runs = { ours: [], theirs: [] };
  for (let round = 0; round < 5; round++) {
    runs.ours.push(wrk(segment, ours.pid));
    runs.theirs.push(wrk(`${theirs.http}/segment.m4s`, theirs.pid));
  }
  const median = (all, of) => quantile(all.map((one) => one[of]), 0.5);
  say('serve', `siaran, segments of ${Math.round(bytes.length / 1000)} kB a second`, median(runs.ours, 'rate').toFixed(0));
  say('serve', 'siaran / nginx, segments a second', (median(runs.ours, 'rate') / median(runs.theirs, 'rate')).toFixed(2), 'aim: 0.9');
  say('serve', 'siaran / nginx, processor time a GB', (median(runs.ours, 'cpu') / median(runs.theirs, 'cpu')).toFixed(2));
  await Promise.all([ours.end(), theirs.end()]);
}

async function startAndEnd() {
  const [ours, browser] = [await siaran(), await browse()];
  const [starts, opened, ends] = [[], [], []];
  for (let round = 0; round < 5; round++) {
    const page = await browser.newPage();
    await takeNotes(page);
    await page.goto(`${ours.http}/live`);
    await sleep(1500); // it waits
    const pressed = Date.now();
    const { id, playlist_url: url } = await ours.api('POST', '/broadcasts', { title: 'Bench', source: 'test' });
    const first = await until(60, 'the first frame', async () => (await notes(page))?.frames[0]);
    starts.push(first.now - pressed);
    await sleep(2000);
    await page.close();
    const late = await browser.newPage();
    await takeNotes(late);
    const clicked = Date.now();
    await late.goto(`${ours.http}/watch/${id}`);
    opened.push((await until(60, 'a picture of what is on air', async () => (await notes(late)).frames[0])).now - clicked);
    await late.close();
    const asked = Date.now();
    await ours.api('POST', `/broadcasts/${id}/end`);
    const media = await mediaPlaylist(new URL(url ?? `/media/${id}/main.m3u8`, ours.http).href);
    await until(30, 'the recording', async () => {
      const text = await (await fetch(media)).text();
      const segment = text.split('\n').find((line) => line && !line.startsWith('#'));
      return text.includes('#EXT-X-ENDLIST') && (await fetch(new URL(segment, media))).ok;
    });
    ends.push(Date.now() - asked);
  }
  say('start', 'Go live to a waiting viewer\'s first frame, median', ms(quantile(starts, 0.5)), 'aim: 1500 ms');
  say('start', 'opening what is on air to its first frame, median', ms(quantile(opened, 0.5)), 'aim: 2000 ms');
  say('start', 'End to a playable recording, median', ms(quantile(ends, 0.5)), 'aim: 500 ms');
  const studio = await browser.newPage();
  await ours.signIn(studio);
  await takeNotes(studio);
  await studio.goto(`${ours.http}/studio`);
  await until(60, 'a preview', async () => (await notes(studio))?.frames[0]);
  await sleep(10_000);
  const shown = (await notes(studio)).frames.map((frame) => frame.behind);
  say('start', 'the studio\'s preview behind the source, median', ms(quantile(shown, 0.5)), 'aim: 1000 ms');
  await browser.close();
  await ours.end();
}

async function memory() {
  const ours = await siaran();
  const { playlist } = await goLive(ours);
  await sleep(3000);
  const media = await mediaPlaylist(playlist);
  if (listed(await (await fetch(media)).text(), media).parts.length === 0) throw new Error(`no parts in ${media}`);
  const all = viewers(200, media);
  await sleep(15_000);
  const [parent, ...workers] = tree(ours.pid);
  say('memory', 'server with 200 viewers', `${memoryMb(parent).toFixed(1)} MB`, 'aim: 64 MB');
  say('memory', `its ${workers.length} workers together`, `${workers.reduce((sum, pid) => sum + memoryMb(pid), 0).toFixed(1)} MB`);
  const { parts, errors } = await all.end();
  say('memory', 'parts that the viewers fetched, and errors', `${parts}, ${errors}`);
  await ours.end();
}

/** Seconds from dropping a file into the import folder until `done` says so of its import. */
async function dropped(ours, film, name, done) {
  copyFileSync(film, join(ours.data, name));
  const begin = Date.now();
  renameSync(join(ours.data, name), join(ours.data, 'import', name));
  const found = await until(600, `${name} to be read in`, async () => {
    const one = (await ours.api('GET', '/imports?limit=200')).items.find((item) => item.name === name);
    if (['refused', 'cancelled'].includes(one?.state)) throw new Error(`${name} is ${one.state}: ${one.reason}`);
    return one && done(one) ? one : null;
  });
  return { seconds: (Date.now() - begin) / 1000, id: found.broadcast_id };
}

function seconds(work) {
  const begin = Date.now();
  work();
  return (Date.now() - begin) / 1000;
}

async function imports() {
  const [ours, browser] = [await siaran(), await browse()];
  const folder = mkdtempSync(join(tmpdir(), 'siaran-bench-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const ffmpeg = (...args) => execFileSync('ffmpeg', ['-y', '-v', 'error', ...args]);
  const file = (name) => join(folder, name);
  const hls = (name) => ['-f', 'hls', '-hls_time', '2', '-hls_playlist_type', 'vod', '-hls_segment_type', 'fmp4', '-hls_fmp4_init_filename', `${name}.mp4`,
    '-hls_segment_filename', file(`${name}-%d.m4s`), file(`${name}.m3u8`)];
  const source = (length) => ['-f', 'lavfi', '-i', `testsrc2=size=1280x720:rate=30:duration=${length},noise=alls=8:allf=t`, '-f', 'lavfi', '-i',
    `sine=frequency=440:sample_rate=48000:duration=${length}`];
  const h264 = ['-c:v', 'libx264', '-preset', 'superfast', '-b:v', '2500k', '-pix_fmt', 'yuv420p', '-g', '60', '-c:a', 'aac', '-b:a', '128k'];
  ffmpeg(...source(20), ...h264, file('short.mp4'));
  ffmpeg('-stream_loop', '29', '-i', file('short.mp4'), '-c', 'copy', file('passed.mp4'));
  ffmpeg(...source(20), '-c:v', 'mpeg4', '-q:v', '3', '-c:a', 'libmp3lame', file('encoded.avi'));
  // The same settings as capture::import has for 720 lines.
  const settings = ['-c:v', 'libx264', '-preset', 'veryfast', '-crf', '23', '-maxrate', '2500k', '-bufsize', '5000k', '-pix_fmt', 'yuv420p', '-g', '30',
    '-sc_threshold', '0', '-bf', '0', '-c:a', 'aac', '-b:a', '128k', '-ac', '2'];
  const times = { passed: [[], []], encoded: [[], []] };
  const over = (one) => one.state === 'done';
  for (let round = 0; round < 3; round++) {
    for (const [film, how] of [['passed.mp4', ['-c', 'copy']], ['encoded.avi', settings]]) {
      const [we, they] = times[film.split('.')[0]];
      we.push((await dropped(ours, file(film), `${round}-${film}`, over)).seconds);
      they.push(seconds(() => ffmpeg('-i', file(film), ...how, ...hls(`${round}`))));
    }
  }
  const median = (all) => quantile(all, 0.5);
  for (const [film, minutes, aim] of [['passed', 10, 'aim: 1.50'], ['encoded', 1 / 3, 'aim: 1.05']]) {
    const [we, they] = times[film].map(median);
    say('import', `siaran, a film that is ${film}, a minute of it`, ms((1000 * we) / minutes));
    say('import', `siaran / ffmpeg, a film that is ${film}`, (we / they).toFixed(2), aim);
  }
  const page = await browser.newPage();
  await ours.signIn(page);
  const firsts = { 'passed.mp4': [], 'encoded.avi': [] };
  for (let round = 0; round < 3; round++) {
    for (const film of Object.keys(firsts)) {
      const begin = Date.now();
      const { id } = await dropped(ours, file(film), `first-${round}-${film}`, (one) => one.broadcast_id);
      await page.goto(`${ours.http}/watch/${id}`);
      await page.waitForFunction(() => document.querySelector('video')?.currentTime > 0, null, { timeout: 60_000 });
      firsts[film].push(Date.now() - begin);
      await until(600, `${film} to be done`, async () => (await ours.api('GET', '/imports?limit=200')).items.every((item) => item.state === 'done'));
    }
  }
  for (const [film, all] of Object.entries(firsts)) say('import', `from dropping ${film} to its first frame, median`, ms(median(all)), 'aim: 3000 ms');
  await browser.close();
  await ours.end();
  await afterwards(ffmpeg, file);
}

/** Smaller renditions of a recording, from when they are begun until they are shown, against one ffmpeg with the same rungs and settings. */
async function afterwards(ffmpeg, file) {
  const ours = await siaran({ ladder: true });
  ffmpeg('-stream_loop', '2', '-i', file('short.mp4'), '-c', 'copy', file('minute.mp4'));
  const settings = (kbps) => ['-map', '0:a', '-c:a', 'copy', '-c:v', 'libx264', '-preset', 'veryfast', '-crf', '23', '-maxrate', `${kbps}k`, '-bufsize',
    `${2 * kbps}k`, '-pix_fmt', 'yuv420p', '-g', '600', '-force_key_frames', 'expr:gte(t,n_forced*2)', '-sc_threshold', '0', '-bf', '0'];
  const [we, they] = [[], []];
  for (let round = 0; round < 3; round++) {
    const { id } = await dropped(ours, file('minute.mp4'), `${round}-minute.mp4`, (one) => one.state === 'done');
    const state = async () => (await ours.api('GET', `/broadcasts/${id}`)).ladder?.state;
    await until(60, 'the ladder to be begun', state);
    const begin = Date.now();
    await until(600, 'the ladder to be done', async () => (await state()) === 'done');
    we.push((Date.now() - begin) / 1000);
    they.push(seconds(() => ffmpeg('-i', file('minute.mp4'), '-filter_complex', '[0:v]split=2[a][b];[a]scale=854:480[c];[b]scale=426:240[d]',
      '-map', '[c]', ...settings(1256), file('480.mp4'), '-map', '[d]', ...settings(386), file('240.mp4'))));
  }
  const [ourTime, theirTime] = [we, they].map((all) => quantile(all, 0.5));
  say('import', 'siaran, two smaller renditions of a minute of 720p', ms(1000 * ourTime));
  say('import', 'siaran / ffmpeg, two smaller renditions', (ourTime / theirTime).toFixed(2), 'aim: 1.05');
  await ours.end();
}

const PARTS = { latency, encode, ladder, serve, start: startAndEnd, import: imports, steady: (seconds = WATCHED_S) => steady(say, seconds), memory };
/** Those that take a number of seconds. */
const TIMED = ['latency', 'steady'];
const wanted = new Map(process.argv.slice(2).map((argument) => argument.split('=')));
for (const [name, seconds] of wanted) {
  if (name in PARTS && (seconds === undefined || (TIMED.includes(name) && Number(seconds) > 0))) continue;
  console.error(`bench: there is no part ${name}${seconds === undefined ? '' : ` of ${seconds} s`}; there are ${Object.keys(PARTS).join(', ')}, and ${TIMED.map((timed) => `${timed}=SECONDS`).join(', ')}`);
  process.exit(2);
}
for (const [name, part] of Object.entries(PARTS)) {
  const seconds = wanted.get(name);
  if (wanted.size === 0 || wanted.has(name)) await part(...(seconds ? [Number(seconds)] : []));
}
process.exit(0);
