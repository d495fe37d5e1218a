// A picture that carries the time: painted by a publisher here (or by siaran's own test pattern, in the same cells), read by a
// page in the browser. Glass to glass is the difference, on one clock.
import { start, stop, sleep } from './processes.mjs';

const WIDTH = 1280, HEIGHT = 720, RATE = 30;
const COLUMNS = 28; // free, white, 24 bits, black, free
const ROWS = [[10, 22], [24, 36]]; // percent of the height: milliseconds; frame number and check

const crc8 = (bytes) => bytes.reduce((crc, byte) => {
  crc ^= byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x80 ? ((crc << 1) ^ 7) & 0xff : crc << 1;
  return crc;
}, 0);

/** A few frames of moving, grainy picture; the cells are painted over them each time. */
function scenes() {
  return Array.from({ length: 8 }, (_, n) => {
    const frame = Buffer.alloc(WIDTH * HEIGHT * 3 / 2, 128);
    for (let y = 0, at = 0; y < HEIGHT; y++) {
      for (let x = 0; x < WIDTH; x++, at++) {
        frame[at] = 110 + 30 * Math.sin((x + 5 * n) / 37) * Math.cos((y + 3 * n) / 29) + Math.random() * 5;
      }
    }
    return frame;
  });
}

function paint(frame, number, time) {
  const ms = time % 0x1000000, count = number & 0xffff;
  const check = crc8([ms >> 16, (ms >> 8) & 255, ms & 255, count >> 8, count & 255]);
  [ms, (count << 8) | check].forEach((word, row) => {
    const [top, bottom] = ROWS[row].map((percent) => Math.floor((HEIGHT * percent) / 100));
    for (let cell = 1; cell < COLUMNS - 1; cell++) {
      const white = cell === 1 || (cell < COLUMNS - 2 && (word >> (25 - cell)) & 1);
      const [left, right] = [cell, cell + 1].map((edge) => Math.floor((edge * WIDTH + COLUMNS / 2) / COLUMNS));
      for (let y = top; y < bottom; y++) frame.fill(white ? 235 : 16, y * WIDTH + left, y * WIDTH + right);
    }
  });
}

/** Publishes the painted picture and a tone to all addresses from one encoder, until `end()`. */
export function publish(addresses) {
  const ffmpeg = start('ffmpeg', [
    '-v', 'error', '-f', 'rawvideo', '-pix_fmt', 'yuv420p', '-s', `${WIDTH}x${HEIGHT}`, '-r', String(RATE), '-i', 'pipe:0',
    '-re', '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000', '-map', '0:v', '-map', '1:a',
    '-c:v', 'libx264', '-preset', 'superfast', '-tune', 'zerolatency', '-g', String(RATE), '-b:v', '2500k', '-c:a', 'aac',
    '-flags', '+global_header', '-f', 'tee', addresses.map((address) => `[f=flv:onfail=abort]${address}`).join('|'),
  ], { stdio: ['pipe', 'ignore', 'pipe'] });
  ffmpeg.stdin.on('error', () => {}); // it has ended; whoever waits for the picture says so
  const frames = scenes();
  const begin = Date.now();
  let number = 0, late = 0;
  const timer = setInterval(() => {
    while (Date.now() - begin >= (number * 1000) / RATE) {
      if (Date.now() - begin > ((number + 1) * 1000) / RATE) late++;
      const frame = frames[number % frames.length];
      paint(frame, number, Date.now());
      ffmpeg.stdin.write(Buffer.from(frame)); // a copy: the pipe may not have taken it before it is painted again
      number++;
    }
  }, 4);
  return {
    process: ffmpeg,
    late: () => late / Math.max(1, number),
    async end() {
      clearInterval(timer);
      ffmpeg.stdin.end();
      await Promise.race([stop(ffmpeg, 'SIGINT'), sleep(5000)]);
    },
  };
}

/** Runs in the page: notes of each presented frame when it was painted and when it was shown. */
function watch({ columns, rows }) {
  const notes = { frames: [], stalls: 0, unread: 0 };
  window.benchNotes = notes;
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const luma = (data, at) => data[at] * 0.299 + data[at + 1] * 0.587 + data[at + 2] * 0.114;
  const read = (video) => {
    // Only the strip with the cells is looked at, one pixel a cell and row in the middle of each.
    canvas.width = columns * 4;
    canvas.height = 4;
    return rows.map(([top, bottom]) => {
      const height = video.videoHeight * (bottom - top) / 100;
      context.drawImage(video, 0, video.videoHeight * top / 100 + height / 4, video.videoWidth, height / 2, 0, 0, columns * 4, 4);
      const { data } = context.getImageData(0, 1, columns * 4, 1);
      const cell = (n) => luma(data, (n * 4 + 2) * 4);
      const middle = (cell(1) + cell(columns - 2)) / 2;
      let word = 0;
      for (let n = 2; n < columns - 2; n++) word = word * 2 + (cell(n) > middle ? 1 : 0);
      return word;
    });
  };
  const crc8 = (bytes) => bytes.reduce((crc, byte) => {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x80 ? ((crc << 1) ^ 7) & 0xff : crc << 1;
    return crc;
  }, 0);
  const follow = (video) => {
    video.addEventListener('waiting', () => { if (notes.frames.length) notes.stalls++; });
    const presented = () => {
      const now = Date.now();
      const [time, rest] = read(video);
      const sound = crc8([time >> 16, (time >> 8) & 255, time & 255, rest >> 16, (rest >> 8) & 255]) === (rest & 255);
      if (sound) notes.frames.push({ now, behind: ((now % 0x1000000) - time + 0x1000000) % 0x1000000 });
      else notes.unread++;
      video.requestVideoFrameCallback(presented);
    };
    video.requestVideoFrameCallback(presented);
  };
  const find = () => {
    const video = document.querySelector('video');
    if (video) follow(video);
    else setTimeout(find, 10);
  };
  find();
}

/** Has `page` take notes from its next document on. */
export const takeNotes = (page) => page.addInitScript(watch, { columns: COLUMNS, rows: ROWS });

/** The notes so far: frames with when they were shown and how far behind, stalls, frames that could not be read. */
export const notes = (page) => page.evaluate(() => window.benchNotes);
