// The vendor's three libraries for the Pipelines API, unmodified: each method, and what it leaves behind by the App API. The
// browser library runs in a real page of another origin.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PipelinesClient, APIClient, SendEmailRequest } from 'customerio-node';
import { Analytics } from '@customerio/cdp-analytics-node';
import { chromium } from 'playwright-core';
import { start, keys, root, until } from './harness.mjs';

let s, api, browser;
test.before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM, timeout: 120_000,
    args: ['--headless', '--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  s = await start();
  s.cli('apply', '-f', join(root, 'examples', 'onboarding.yaml'));
  api = new APIClient(keys.app, { url: `${s.url}/v1` });
});
test.after(async () => {
  await browser?.close();
  assert.equal(await s.stop(), 0, 'a clean stop');
});

const attributes = async (id) => (await api.getAttributes(id)).customer;
const exists = (id) => fetch(`${s.url}/v1/customers/${id}/attributes`, { headers: { authorization: `Bearer ${keys.app}` } }).then((r) => r.ok);
const activities = async (id) => (await s.app(`/customers/${id}/activities?limit=100`)).activities;

/** The one activity of a person of a type and name, waiting for it. */
async function activity(id, type, name) {
  const found = await until(`${type} ${name} of ${id}`, async () => {
    const list = (await exists(id)) ? await activities(id) : [];
    const mine = list.filter((a) => a.type === type && (name === undefined || a.name === name));
    return mine.length > 0 && mine;
  });
  assert.equal(found.length, 1, `${type} ${name} of ${id} once`);
  return found[0];
}

test('customerio-node PipelinesClient: the seven methods', async () => {
  const cdp = new PipelinesClient(keys.write, { url: `${s.url}/v1`, strictMode: true });
  assert.deepEqual(await cdp.identify({ userId: 'n1', anonymousId: 'n-anon', traits: { email: 'n1@example.com', plan: 'pro', createdAt: '2024-05-06T07:08:09Z' } }), {});
  const { attributes: a } = await attributes('n1');
  assert.equal(a.plan, 'pro');
  assert.equal(a.email, 'n1@example.com');
  assert.equal(a.created_at, '1714979289');

  assert.deepEqual(await cdp.track({ userId: 'n1', event: 'Order Placed', properties: { total: 12.5 } }), {});
  assert.equal((await activity('n1', 'event', 'Order Placed')).data.total, 12.5);
  for (let i = 0; i < 2; i++) await cdp.track({ userId: 'n1', event: 'Once', messageId: 'job-7' });
  await activity('n1', 'event', 'Once');
  assert.deepEqual(await cdp.page({ userId: 'n1', name: 'Pricing', properties: { url: 'https://acme.example/pricing' } }), {});
  assert.equal((await activity('n1', 'page', 'https://acme.example/pricing')).data.name, 'Pricing');
  assert.deepEqual(await cdp.screen({ userId: 'n1', name: 'Cart' }), {});
  await activity('n1', 'screen', 'Cart');
  assert.deepEqual(await cdp.group({ userId: 'n1', groupId: 'n-corp', traits: { name: 'Corp', relationshipAttributes: { role: 'admin' } } }), {});
  const related = (await activity('n1', 'add_relationship')).data;
  assert.deepEqual([related.object_type_id, related.object_id, related.relationship_attributes], ['1', 'n-corp', { role: 'admin' }]);

  await cdp.batch([
    { type: 'identify', userId: 'n2', traits: { color: 'red' } },
    { type: 'track', userId: 'n2', event: 'Seen' },
  ]);
  assert.equal((await attributes('n2')).attributes.color, 'red');
  await activity('n2', 'event', 'Seen');
  await cdp.alias({ userId: 'n1', previousId: 'n2' });
  assert.equal((await attributes('n1')).attributes.color, 'red', 'what the merged person had');
  await activity('n1', 'event', 'Seen');
  assert.equal(await exists('n2'), false, 'the merged person is gone');

  await assert.rejects(cdp.track({ userId: 'n1', event: 'x'.repeat(200) }), /event: is longer than 100 bytes/);
  const lenient = new PipelinesClient(keys.write, { url: `${s.url}/v1` });
  assert.deepEqual(await lenient.track({ userId: 'n1', event: 'x'.repeat(200) }), {}, 'a 200 without strict mode');
  const reasons = (await activities('n1')).filter((a) => a.type === 'failed_event').map((a) => a.data.reason);
  assert.deepEqual(reasons, ['event: is longer than 100 bytes', 'an event with this id was applied in the last 30 days']);
  await assert.rejects(new PipelinesClient('wrong', { url: `${s.url}/v1`, strictMode: true }).identify({ userId: 'n1' }), (e) => e.statusCode === 401);
  assert.deepEqual(await new PipelinesClient('wrong', { url: `${s.url}/v1` }).identify({ userId: 'n9' }), {});
  assert.equal(await exists('n9'), false);

  const large = await fetch(`${s.url}/v1/track`, {
    method: 'POST', headers: { authorization: `Basic ${btoa(`${keys.write}:`)}` }, body: JSON.stringify({ userId: 'n1', event: 'Large', properties: { p: 'x'.repeat(900_000) } }),
  });
  assert.deepEqual([large.status, await large.json()], [200, {}], 'a body that is too large is answered');
});

test('Pipelines events start campaigns', async () => {
  const cdp = new PipelinesClient(keys.write, { url: `${s.url}/v1` });
  await cdp.identify({ userId: 'j1', traits: { email: 'j1@example.com', first_name: 'Jo', plan: 'pro' } });
  await cdp.track({ userId: 'j1', event: 'signed_up', properties: { plan: 'pro' } });
  await s.mail('j1@example.com', 'Welcome, Jo');
});

test('a report of a delivery', async () => {
  const cdp = new PipelinesClient(keys.write, { url: `${s.url}/v1`, strictMode: true });
  const { delivery_id: deliveryId } = await api.sendEmail(new SendEmailRequest({
    to: 'r1@example.com', from: 'hello@acme.example', subject: 'Report', body: '<p>Report</p>', identifiers: { id: 'r1' },
  }));
  await s.mail('r1@example.com', 'Report');
  await cdp.track({ userId: 'r1', event: 'Report Delivery Event', properties: { deliveryId, metric: 'converted' } });
  await until('the conversion is known', async () => (await s.app(`/messages/${deliveryId}`)).message?.metrics.converted);
  assert.equal((await activities('r1')).some((a) => a.type === 'event'), false, 'it is no event');
});

test('cdp-analytics-node: its six methods', async () => {
  const analytics = new Analytics({ writeKey: keys.write, host: s.url, flushInterval: 100 });
  const errors = [];
  analytics.on('error', (e) => errors.push(e));
  analytics.track({ anonymousId: 'a-anon', event: 'Looked around' });
  analytics.identify({ userId: 'a1', anonymousId: 'a-anon', traits: { plan: 'pro', email: 'a1@example.com' } });
  analytics.track({ userId: 'a1', event: 'Signed Up', properties: { from: 'web' }, messageId: 'a-message' });
  analytics.page({ userId: 'a1', name: 'Home', properties: { url: 'https://acme.example/' } });
  analytics.screen({ userId: 'a1', name: 'Start' });
  analytics.group({ userId: 'a1', groupId: 'acme', traits: { name: 'Acme' } });
  analytics.alias({ userId: 'a1', previousId: 'a-older' });
  analytics.track({ userId: 'a1', event: 'Device Created or Updated', properties: { app_version: '2.0' }, context: { device: { token: 'a-token', type: 'android' } } });
  await analytics.closeAndFlush({ timeout: 20_000 });
  assert.deepEqual(errors, []);

  const a = await attributes('a1');
  assert.equal(a.attributes.plan, 'pro');
  assert.equal(a.devices[0].id, 'a-token');
  assert.equal(a.devices[0].platform, 'android');
  assert.equal((await activity('a1', 'event', 'Signed Up')).data.from, 'web');
  await activity('a1', 'event', 'Looked around'); // of the visitor that the person was
  await activity('a1', 'page', 'https://acme.example/');
  await activity('a1', 'screen', 'Start');
  assert.equal((await activity('a1', 'add_relationship')).data.object_id, 'acme');
  const merges = (await activities('a1')).filter((x) => x.type === 'anon_merge').map((x) => x.data.anonymous_id).sort();
  assert.deepEqual(merges, ['a-anon', 'a-older']);
});

/** A page of its own origin with the browser library; it reaches this machine only. */
async function page(t) {
  const lib = join(root, 'e2e', 'node_modules', '@customerio', 'cdp-analytics-browser', 'dist', 'umd');
  const web = createServer(async (req, res) => {
    if (req.url.startsWith('/lib/')) {
      res.setHeader('content-type', 'text/javascript');
      res.end(await readFile(join(lib, req.url.slice('/lib/'.length))).catch(() => ''));
      return;
    }
    res.setHeader('content-type', 'text/html; charset=utf-8');
    res.end('<!doctype html><title>Shop</title><script src="/lib/index.js"></script>');
  });
  await new Promise((ok) => web.listen(0, '127.0.0.1', ok));
  t.after(() => new Promise((ok) => { web.close(ok); web.closeAllConnections(); }));
  const context = await browser.newContext();
  t.after(() => context.close());
  const p = await context.newPage();
  p.setDefaultTimeout(120_000);
  const errors = [], elsewhere = [];
  p.on('console', (m) => m.type() === 'error' && errors.push(m.text()));
  p.on('pageerror', (e) => errors.push(String(e)));
  await p.route('**', (route) => {
    if (new URL(route.request().url()).hostname === '127.0.0.1') return route.continue();
    elsewhere.push(route.request().url());
    return route.abort();
  });
  const origin = `http://127.0.0.1:${web.address().port}`;
  return { p, origin, clean: () => { assert.deepEqual(errors, []); assert.deepEqual(elsewhere, [], 'nobody else is told'); } };
}

test('cdp-analytics-browser in Chromium: its six methods, one request each', async (t) => {
  const { p, origin, clean } = await page(t);
  await p.goto(`${origin}/shop?utm_source=mail`);
  const sent = [];
  p.on('request', (r) => r.method() === 'POST' && sent.push(`${new URL(r.url()).pathname} ${r.headers()['content-type']}`));
  const anonymous = await p.evaluate(async ({ url, writeKey }) => {
    const [analytics] = await AnalyticsNext.AnalyticsBrowser.load({ writeKey, cdnURL: url });
    await analytics.page();
    await analytics.track('Product Viewed', { sku: 'ä-1' });
    const anonymous = analytics.user().anonymousId();
    await analytics.identify('b1', { email: 'b1@example.com', plan: 'pro' });
    await analytics.track('Order Placed', { total: 9.99 });
    await analytics.screen('Checkout');
    await analytics.group('acme', { name: 'Acme' });
    await analytics.alias('b1', 'b-older');
    return anonymous;
  }, { url: s.url, writeKey: keys.write });

  assert.equal((await activity('b1', 'event', 'Order Placed')).data.total, 9.99);
  const a = await attributes('b1');
  assert.equal(a.attributes.plan, 'pro');
  assert.equal(a.attributes.email, 'b1@example.com');
  assert.equal((await activity('b1', 'event', 'Product Viewed')).data.sku, 'ä-1', 'of the visitor that the person was');
  assert.equal((await activity('b1', 'page')).name, `${origin}/shop?utm_source=mail`);
  await activity('b1', 'screen', 'Checkout');
  assert.equal((await activity('b1', 'add_relationship')).data.object_id, 'acme');
  await until('both anonymous ids are received', async () => {
    const got = (await activities('b1')).filter((x) => x.type === 'anon_merge').map((x) => x.data.anonymous_id).sort();
    return got.join() === ['b-older', anonymous].sort().join();
  });
  assert.deepEqual([...new Set(sent)].sort(), ['a', 'g', 'i', 'p', 's', 't'].map((x) => `/v1/${x} text/plain`));
  clean();
});

test('cdp-analytics-browser in Chromium: batches, and what is left when the page is closed', async (t) => {
  const { p, origin, clean } = await page(t);
  await p.goto(origin);
  await p.evaluate(async ({ url, writeKey }) => {
    const [analytics] = await AnalyticsNext.AnalyticsBrowser.load({ writeKey, cdnURL: url }, {
      integrations: { 'Customer.io Data Pipelines': { deliveryStrategy: { strategy: 'batching', config: { size: 2, timeout: 600_000 } } } },
    });
    await analytics.identify('c1', { plan: 'pro' });
    await analytics.track('First');
    await analytics.track('Last');
  }, { url: s.url, writeKey: keys.write });
  await activity('c1', 'event', 'First');
  await p.goto('about:blank');
  await activity('c1', 'event', 'Last');
  clean();
});

test('a library with a wrong key gives up', async (t) => {
  const { p, origin } = await page(t);
  await p.goto(origin);
  const failed = await p.evaluate(({ url }) => AnalyticsNext.AnalyticsBrowser.load({ writeKey: 'wrong', cdnURL: url }).then(() => false, (e) => e.message), { url: s.url });
  assert.match(failed, /there is no such write key/);
});
