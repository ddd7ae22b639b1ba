// What the tests share: the built binary on a scratch folder, a mail peer, and small readers of mail.
import { spawn, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createInterface } from 'node:readline';
import { createServer } from 'node:net';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');
export const rapport = join(root, 'rapport');
export const keys = { siteId: 'e2esite', apiKey: 'e2e-api-key', app: 'e2e-app-key', write: 'e2e-write-key', agent: 'agk_e2eagentkey000000', admin: 'e2e-admin-key' };

/** A free loopback port. */
export async function freePort() {
  const s = createServer();
  await new Promise((ok) => s.listen(0, '127.0.0.1', ok));
  const { port } = s.address();
  await new Promise((ok) => s.close(ok));
  return port;
}

/** Waits until look() returns something, for at most a minute. */
export async function until(what, look) {
  const end = Date.now() + 60_000;
  for (;;) {
    const got = await look();
    if (got) return got;
    if (Date.now() > end) throw new Error(`did not happen: ${what}`);
    await new Promise((ok) => setTimeout(ok, 20));
  }
}

/** Starts a mail peer; mails is what it got so far. */
async function peer() {
  const child = spawn(join(root, 'e2e', '.bin', 'smtppeer'), { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  const mails = [];
  const address = await new Promise((ok, no) => {
    child.once('exit', () => no(new Error('the mail peer did not start')));
    lines.once('line', (first) => {
      lines.on('line', (l) => mails.push(read(JSON.parse(l))));
      ok(first);
    });
  });
  return { address, mails, stop: () => child.kill() };
}

/** Decodes the parts of a mail that the tests look at. */
function read(m) {
  const [head, ...rest] = m.data.split(/\r?\n\r?\n/);
  const headers = {};
  for (const line of head.replace(/\r?\n[ \t]+/g, ' ').split(/\r?\n/)) {
    const i = line.indexOf(':');
    headers[line.slice(0, i).toLowerCase()] = line.slice(i + 1).trim();
  }
  const body = rest.join('\n\n').replace(/=\r?\n/g, '').replace(/=([0-9A-F]{2})/g, (_, h) => String.fromCharCode(parseInt(h, 16)));
  return { to: m.to[0], headers, body, subject: headers.subject };
}

/** Starts the server with an SMTP peer, and applies the example through the command line. */
export async function start(more = []) {
  const data = mkdtempSync(join(tmpdir(), 'rapport-e2e-'));
  const smtp = await peer();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const env = {
    ...process.env, RAPPORT_SITE_ID: keys.siteId, RAPPORT_API_KEY: keys.apiKey, RAPPORT_APP_KEY: keys.app, RAPPORT_WRITE_KEY: keys.write, RAPPORT_AGENT_KEY: keys.agent,
    RAPPORT_ADMIN_KEY: keys.admin, RAPPORT_SERVER: url,
  };
  const args = ['serve', '--data', data, '--listen', `127.0.0.1:${port}`, '--smtp-url', `smtp://${smtp.address}?tls=off`, '--limits', 'off', ...more];
  const child = spawn(rapport, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (b) => { log += b; });
  await until('the server answers', async () => {
    if (child.exitCode !== null) throw new Error(`the server ended: ${log}`);
    return fetch(`${url}/readyz`).then((r) => r.ok, () => false);
  });
  const cli = (...a) => execFileSync(rapport, a, { env, encoding: 'utf8' });
  return {
    url, env, cli, mails: smtp.mails, log: () => log,
    mail: (to, subject) => until(`a mail ${subject} to ${to}`, () => smtp.mails.find((m) => m.to === to && m.subject.includes(subject))),
    app: (path) => fetch(`${url}/v1${path}`, { headers: { authorization: `Bearer ${keys.app}` } }).then((r) => r.json()),
    async stop() {
      child.kill('SIGTERM');
      if (child.exitCode === null) await new Promise((ok) => child.once('exit', ok));
      smtp.stop();
      rmSync(data, { recursive: true, force: true });
      return child.exitCode;
    },
  };
}
