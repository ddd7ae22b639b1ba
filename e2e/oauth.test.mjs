// An agent's program gets access with a person's consent: the official client's OAuth, a browser, and the tools behind it. The pages that
// people see on the way are looked over by axe at desktop and phone width, and walked with the keyboard alone.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { readFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { keys, root, start } from './harness.mjs';

const axe = readFileSync(join(root, 'e2e', 'node_modules', 'axe-core', 'axe.min.js'), 'utf8');
const widths = [{ name: 'desktop', width: 1100, height: 900 }, { name: 'phone', width: 390, height: 844 }];
const shots = process.env.SHOTS; // a folder for pictures of the pages

let s, browser, callback, answers;
test.before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM, timeout: 120_000,
    args: ['--headless', '--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  answers = [];
  callback = createServer((req, res) => { answers.push(new URL(req.url, 'http://127.0.0.1')); res.end('done'); });
  await new Promise((ok) => callback.listen(0, '127.0.0.1', ok));
  s = await start();
  s.cli('agents', 'clients', 'add', 'desk', '--name', 'Desk assistant', '--redirect', 'http://127.0.0.1/callback');
});
test.after(async () => {
  await browser?.close();
  callback?.closeAllConnections();
  await new Promise((ok) => callback.close(ok));
  assert.equal(await s.stop(), 0, 'a clean stop');
});

/** Remembers what the official client needs between its steps. */
function provider(scope) {
  const kept = {};
  return {
    kept, redirectUrl: `http://127.0.0.1:${callback.address().port}/callback`,
    get clientMetadata() { return { redirect_uris: [this.redirectUrl], client_name: 'Desk assistant', scope }; },
    clientInformation: () => ({ client_id: 'desk' }),
    state: () => 'the-state',
    tokens: () => kept.tokens, saveTokens: (t) => { kept.tokens = t; },
    redirectToAuthorization: (url) => { kept.url = url; },
    saveCodeVerifier: (v) => { kept.verifier = v; }, codeVerifier: () => kept.verifier,
  };
}

/** What axe finds wrong. */
async function looked(page) {
  const found = await page.evaluate(`${axe}; axe.run(document, { resultTypes: ['violations'] })`);
  return found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).join(', ')}`);
}

async function picture(page, name) {
  if (!shots) return;
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.jpg`), type: 'jpeg', quality: 60 });
}

test('login, consent, token, tools', async () => {
  const auth = provider('read write');
  const connect = () => new StreamableHTTPClientTransport(new URL(`${s.url}/mcp`), { authProvider: auth });
  const first = connect();
  await assert.rejects(new Client({ name: 'desk', version: '1' }).connect(first), UnauthorizedError);
  assert.equal(auth.kept.url.searchParams.get('resource'), `${s.url}/mcp`);
  assert.equal(auth.kept.url.searchParams.get('code_challenge_method'), 'S256');

  const context = await browser.newContext({ viewport: widths[1] });
  const page = await context.newPage();
  await page.goto(String(auth.kept.url));
  await page.getByLabel('Admin key').waitFor(); // it has the focus
  await page.keyboard.type(keys.admin);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Allow Desk assistant' }).waitFor();
  const ticked = () => page.getByRole('checkbox', { checked: true }).evaluateAll((all) => all.map((b) => b.value));
  assert.deepEqual(await ticked(), ['read', 'write']);

  for (const name of ['read', 'write']) { // the keyboard alone, in the page's order
    do await page.keyboard.press('Tab'); while (!(await page.evaluate((n) => document.activeElement.value === n, name)));
  }
  await page.keyboard.press('Space');
  assert.deepEqual(await ticked(), ['read'], 'write is taken off');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Allow');
  await page.keyboard.press('Enter');
  await page.waitForURL(/127\.0\.0\.1:\d+\/callback/);
  const answer = answers.find((u) => u.searchParams.get('code'));
  assert.equal(answer.searchParams.get('iss'), s.url);
  assert.equal(answer.searchParams.get('state'), 'the-state');
  await context.close();

  await first.finishAuth(answer.searchParams.get('code'));
  assert.equal(auth.kept.tokens.scope, 'read');
  const mcp = new Client({ name: 'desk', version: '1' });
  await mcp.connect(connect());
  const { tools } = await mcp.listTools();
  assert.ok(tools.some((t) => t.name === 'get_person') && !tools.some((t) => t.name === 'upsert_person'), 'tools of the scope read alone');
  const got = await mcp.callTool({ name: 'get_workspace', arguments: {} });
  assert.ok(!got.isError, JSON.stringify(got));
  await mcp.close();

  const token = auth.kept.tokens.access_token;
  const ask = (path, key, body) => fetch(s.url + path, { method: body ? 'POST' : 'GET', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', accept: 'application/json, text/event-stream' }, body: body && JSON.stringify(body) });
  const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'upsert_person', arguments: { id: 'ada' } } };
  const more = await ask('/mcp', token, call);
  assert.equal(more.status, 403);
  assert.match(more.headers.get('www-authenticate'), /error="insufficient_scope", scope="read write"/);
  assert.equal((await ask('/v1/campaigns', token)).status, 401, 'a token for the tools is none for the App API');
  assert.equal((await ask('/api/v1/customers/ada', token, {})).status >= 400, true);
  for (const wrong of [keys.app, keys.write, keys.apiKey, keys.admin, `${token}x`, auth.kept.tokens.refresh_token]) {
    const refused = await ask('/mcp', wrong, call);
    assert.equal(refused.status, 401);
    assert.match(refused.headers.get('www-authenticate'), /resource_metadata="http[^"]+\/\.well-known\/oauth-protected-resource\/mcp"/);
  }
  const list = JSON.parse(s.cli('keys', 'list', '--kind', 'agent', '--json')).keys.find((k) => k.client_id === 'desk');
  assert.deepEqual(list.scopes, ['read']);
  assert.match(s.cli('audit', 'list', '--json'), /"client": ?"desk/);

  const renewed = new Client({ name: 'desk', version: '1' });
  auth.kept.tokens = { ...auth.kept.tokens, access_token: 'ago_ended' };
  await renewed.connect(connect()); // with the refresh token, without asking anybody
  assert.notEqual(auth.kept.tokens.access_token, 'ago_ended');
  await renewed.close();
  s.cli('keys', 'revoke', String(list.id));
  assert.equal((await ask('/mcp', auth.kept.tokens.access_token, call)).status, 401, 'revoked at once');
});

test('a token for the read-only tools opens nothing else', async () => {
  const auth = provider('read');
  const transport = () => new StreamableHTTPClientTransport(new URL(`${s.url}/mcp/readonly`), { authProvider: auth });
  const first = transport();
  await assert.rejects(new Client({ name: 'desk', version: '1' }).connect(first), UnauthorizedError);
  assert.equal(auth.kept.url.searchParams.get('resource'), `${s.url}/mcp/readonly`);
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(String(auth.kept.url));
  await page.getByLabel('Admin key').fill(keys.admin);
  await page.getByRole('button', { name: 'Sign in' }).click();
  const seen = answers.length;
  await page.getByRole('button', { name: 'Allow' }).click();
  await page.waitForURL(/callback/);
  await context.close();
  await first.finishAuth(answers.slice(seen).find((u) => u.searchParams.get('code')).searchParams.get('code'));
  const mcp = new Client({ name: 'desk', version: '1' });
  await mcp.connect(transport());
  assert.ok((await mcp.listTools()).tools.length > 5);
  await mcp.close();
  const wide = await fetch(`${s.url}/mcp`, { method: 'POST', headers: { authorization: `Bearer ${auth.kept.tokens.access_token}` }, body: '{}' });
  assert.equal(wide.status, 401, 'a token of another audience');
});

test('pages for everybody: axe finds nothing, at desktop and phone width', async () => {
  const asked = new URLSearchParams({
    response_type: 'code', client_id: 'desk', redirect_uri: 'http://127.0.0.1:4711/callback', code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', code_challenge_method: 'S256',
    scope: 'read read:sensitive write write:live audit', resource: `${s.url}/mcp`, state: 'x',
  });
  for (const { name, width, height } of widths) {
    const context = await browser.newContext({ viewport: { width, height } });
    const page = await context.newPage();
    await page.goto(`${s.url}/login`);
    assert.deepEqual(await looked(page), [], `the login at ${name} width`);
    for (const [path, called] of [['/services', 'services'], ['/services/customer-io', 'service']]) {
      await page.goto(s.url + path);
      assert.deepEqual(await looked(page), [], `${path} at ${name} width`);
      await picture(page, `${called}-${name}`);
    }
    await page.goto(`${s.url}/login`);
    await page.getByLabel('Admin key').fill(keys.admin);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.waitForURL(`${s.url}/`);
    await page.goto(`${s.url}/oauth/authorize?${asked}`);
    assert.deepEqual(await looked(page), [], `the consent at ${name} width`);
    assert.ok(await page.getByRole('checkbox', { name: 'Act on live data' }).isDisabled());
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing is wider than the page');
    await picture(page, `consent-${name}`);
    await context.close();
  }
});
