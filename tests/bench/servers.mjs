// The two servers that are compared, each on ports and in a directory of its own.
import { mkdtempSync, mkdirSync, writeFileSync, copyFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { freePort, start, stop, until } from './processes.mjs';

const PASSWORD = 'measured side by side';

function place() {
  const directory = mkdtempSync(join(tmpdir(), 'siaran-bench-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** siaran with an admin signed in; one rendition unless `ladder` is on. */
export async function siaran({ ladder = false } = {}) {
  const binary = resolve(process.env.SIARAN);
  const data = join(place(), 'data');
  const added = spawnSync(binary, ['account', 'add', 'bench', '--role', 'admin', '--password-stdin', '--data', data], { input: PASSWORD });
  if (added.status !== 0) throw new Error(`account add: ${added.stderr}`);
  const child = start(binary, ['serve', '--data', data, '--http', '127.0.0.1:0', '--https', 'off', '--rtmp', '127.0.0.1:0',
    '--ladder', ladder ? 'on' : 'off']);
  child.stdout.setEncoding('utf8');
  const [ready] = await Promise.race([once(child.stdout, 'data'), once(child, 'exit').then(() => { throw new Error(child.said); })]);
  const http = /http=(\S+)/.exec(ready)[1];
  const rtmp = /rtmp=(\S+)/.exec(ready)[1];
  let token;
  const api = async (method, path, body) => {
    const headers = { ...(token && { authorization: `Bearer ${token}` }), ...(body && { 'content-type': 'application/json' }) };
    const reply = await fetch(`${http}/api/v1${path}`, { method, headers, body: body && JSON.stringify(body) });
    if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${await reply.text()}`);
    return reply.status === 204 ? null : reply.json();
  };
  ({ token } = await api('POST', '/session', { username: 'bench', password: PASSWORD }));
  /** A page that is signed in. */
  const signIn = async (page) => {
    await page.goto(`${http}/login`);
    await page.fill('[name=username]', 'bench');
    await page.fill('[name=password]', PASSWORD);
    await page.press('[name=password]', 'Enter');
    await page.waitForURL((url) => !url.pathname.startsWith('/login'));
  };
  return { http, rtmp, api, token: () => token, signIn, data, pid: child.pid, end: () => stop(child) };
}

/** A public broadcast of the test pattern, on air with some segments. */
export async function goLive({ http, api }, source = 'test') {
  const { id } = await api('POST', '/broadcasts', { title: 'Bench', source });
  await until(30, 'on air', async () => (await api('GET', `/broadcasts/${id}`)).state === 'live');
  return { id, playlist: `${http}/media/${id}/main.m3u8` };
}

/** nginx with the RTMP module, HLS of one-second fragments, and sendfile. */
export async function nginx(hls) {
  const root = place();
  const [http, rtmp] = [await freePort(), await freePort()];
  mkdirSync(join(root, 'hls'));
  copyFileSync(hls, join(root, 'hls.js'));
  writeFileSync(join(root, 'player.html'), `<!doctype html><video muted autoplay></video><script src="hls.js"></script><script>
    const hls = new Hls(); hls.loadSource('hls/bench.m3u8'); hls.attachMedia(document.querySelector('video'));</script>`);
  const conf = join(root, 'nginx.conf');
  writeFileSync(conf, `
    load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
    daemon off; worker_processes 1; user root; pid ${root}/pid; error_log stderr warn;
    events { worker_connections 2048; }
    rtmp { server { listen 127.0.0.1:${rtmp}; application live { live on; hls on; hls_path ${root}/hls; hls_fragment 1s; hls_playlist_length 6s; } } }
    http {
      access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;
      client_body_temp_path ${root}/1; proxy_temp_path ${root}/2; fastcgi_temp_path ${root}/3; uwsgi_temp_path ${root}/4; scgi_temp_path ${root}/5;
      types { text/html html; text/javascript js; application/vnd.apple.mpegurl m3u8; video/mp2t ts; video/mp4 mp4 m4s; }
      server { listen 127.0.0.1:${http}; root ${root}; }
    }`);
  const child = start('nginx', ['-c', conf, '-p', root]);
  const url = `http://127.0.0.1:${http}`;
  await until(10, `nginx starts (${child.said})`, async () => (await fetch(`${url}/player.html`)).ok);
  return { http: url, rtmp: `rtmp://127.0.0.1:${rtmp}/live`, root, pid: child.pid, end: () => stop(child) };
}
