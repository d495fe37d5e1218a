// Makes static/dist from our sources and the npm packages: bundles, hashes the names, compresses, writes manifest.json.
// What belongs here: the shape of the build. What is on a page belongs to css/ and js/.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync, rmSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const made = join(here, 'dist.new');
const dist = join(here, 'dist');
const packages = join(here, 'node_modules');

// The pages' scripts; what two of them share becomes a chunk of its own.
const SCRIPTS = ['site', 'home', 'watch', 'live', 'tv', 'studio', 'keys', 'upload', 'edit'];

// Icons that templates may name, in the order of lucide's own file names.
const ICONS = [
  'activity', 'arrow-left', 'arrow-right', 'calendar-clock', 'camera', 'captions', 'check', 'chevron-right', 'circle-alert',
  'circle-check', 'clock', 'copy', 'download', 'eye', 'eye-off', 'film', 'globe', 'hard-drive', 'house', 'key-round', 'languages',
  'layout-dashboard', 'lock-keyhole', 'log-in', 'log-out', 'mic', 'mic-off', 'network', 'pause', 'pencil', 'pin', 'play', 'plug-zap', 'plus', 'radio',
  'rotate-ccw', 'search', 'search-x', 'settings-2', 'shield-check', 'skip-back', 'square', 'terminal', 'trash-2', 'tv', 'upload', 'user-round', 'users-round',
  'video', 'video-off', 'volume-2', 'volume-x', 'wifi', 'x',
];

const manifest = {};
const hash = (bytes) => createHash('sha256').update(bytes).digest('hex').slice(0, 12);

/** Writes `bytes` under a name that carries their hash, and notes it in the manifest. */
function put(name, bytes) {
  const hashed = `${basename(name, extname(name))}.${hash(bytes)}${extname(name)}`;
  writeFileSync(join(made, hashed), bytes);
  manifest[name] = hashed;
}

async function bundle(entryPoints, options) {
  const result = await build({
    entryPoints, bundle: true, minify: true, outdir: made, metafile: true, write: true, absWorkingDir: here,
    entryNames: '[name].[hash]', chunkNames: 'part.[hash]', assetNames: '[name].[hash]',
    legalComments: 'none', logLevel: 'warning', ...options,
  });
  for (const [file, output] of Object.entries(result.metafile.outputs)) {
    if (output.entryPoint) manifest[`${basename(output.entryPoint, extname(output.entryPoint))}${extname(file)}`] = basename(file);
  }
}

/** One file of symbols, each drawn by `<use href="…#name">`. */
function sprite() {
  const symbols = ICONS.map((name) => {
    const svg = readFileSync(join(packages, 'lucide-static', 'icons', `${name}.svg`), 'utf8');
    const drawing = svg.replace(/<!--.*?-->/gs, '').replace(/^[^]*?<svg[^>]*>/, '').replace(/<\/svg>\s*$/, '').replace(/\s+/g, ' ').trim();
    return `<symbol id="${name}" viewBox="0 0 24 24">${drawing}</symbol>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg">${symbols.join('')}</svg>\n`;
}

/** The licences of what is served, in one text that the footer links to: the minified bundles carry no comments. */
function licences() {
  return ['hls.js', 'media-chrome', 'tus-js-client', 'lucide-static'].map((name) => {
    const file = readdirSync(join(packages, name)).find((entry) => /^licen[cs]e/i.test(entry));
    return `${name}\n\n${file ? readFileSync(join(packages, name, file), 'utf8') : 'MIT'}\n`;
  }).join('\n');
}

/** Files that compress well get a .br and a .gz beside them, made once here instead of at every request. */
function compress() {
  for (const name of readdirSync(made)) {
    if (!/\.(css|js|svg|txt)$/.test(name) || name === 'manifest.json') continue;
    const bytes = readFileSync(join(made, name));
    const brotli = brotliCompressSync(bytes, {
      params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
    });
    writeFileSync(join(made, `${name}.br`), brotli);
    writeFileSync(join(made, `${name}.gz`), gzipSync(bytes, { level: 9 }));
  }
}

rmSync(made, { recursive: true, force: true });
mkdirSync(made);
await bundle(SCRIPTS.map((name) => `js/${name}.js`), { format: 'esm', splitting: true, target: 'es2021' });
await bundle(['css/app.css', 'css/player.css'], { target: ['chrome90', 'safari14.1'] });
put('icons.svg', Buffer.from(sprite()));
// The player's demuxing worker is loaded by address: a worker made from a blob would need a wider content security policy.
put('hls.worker.js', readFileSync(join(packages, 'hls.js', 'dist', 'hls.worker.js')));
for (const name of readdirSync(join(here, 'img'))) put(name, readFileSync(join(here, 'img', name)));
put('licenses.txt', Buffer.from(licences()));
compress();
writeFileSync(join(made, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
// Swapped in at once, so that a build that fails leaves the last good one.
rmSync(dist, { recursive: true, force: true });
renameSync(made, dist);
console.log(`static/dist: ${Object.keys(manifest).length} assets`);
