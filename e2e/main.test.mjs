// The main job with the vendor's own client, unmodified but for the base URL: identify, track, and the right mail arrives.
import test from 'node:test';
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { TrackClient, APIClient, SendEmailRequest } from 'customerio-node';
import { start, keys, root, until } from './harness.mjs';

let s, cio, api;
test.before(async () => {
  s = await start();
  s.cli('apply', '-f', join(root, 'examples', 'onboarding.yaml'));
  cio = new TrackClient(keys.siteId, keys.apiKey, { url: `${s.url}/api/v1` });
  api = new APIClient(keys.app, { url: `${s.url}/v1` });
});
test.after(async () => assert.equal(await s.stop(), 0, 'a clean stop'));

const link = (mail, kind) => mail.body.match(new RegExp(`http://[^"' ]+/e/${kind}/[^"' ]+`))[0];

test('identify, track, and the welcome mail arrives with tracked links', async () => {
  await cio.identify('1', { email: 'ada@example.com', first_name: 'Ada', plan: 'pro' });
  const { customer } = await api.getAttributes('1');
  assert.equal(customer.attributes.plan, 'pro', 'a read sees the write before it');
  await cio.track('1', { name: 'signed_up', data: { plan: 'pro', source: 'web' } });
  const mail = await s.mail('ada@example.com', 'Welcome, Ada');
  assert.match(mail.body, /Hi Ada, thanks for choosing pro\./);
  assert.match(mail.headers['list-unsubscribe-post'], /One-Click/);

  const res = await fetch(link(mail, 'c'), { redirect: 'manual' });
  assert.equal(res.status, 302);
  assert.equal(res.headers.get('location'), 'https://acme.example/start?ref=welcome');
  const changed = await fetch(`${link(mail, 'c').slice(0, -3)}AAA`, { redirect: 'manual' });
  assert.equal(changed.status, 404, 'a changed link leads nowhere');
  const { messages } = await s.app('/customers/1/messages');
  assert.ok(messages[0].metrics.clicked, 'the click is recorded');
  assert.ok(messages[0].metrics.opened, 'a click is an open');
});

test('the nudge arrives after three days, not for a person who activated', async () => {
  await cio.identify('2', { email: 'ben@example.com', plan: 'pro' });
  await cio.identify('3', { email: 'cleo@example.com', plan: 'pro' });
  await cio.track('2', { name: 'signed_up', data: { plan: 'pro' } });
  await cio.track('3', { name: 'signed_up', data: { plan: 'pro' } });
  await s.mail('ben@example.com', 'Welcome');
  await s.mail('cleo@example.com', 'Welcome');
  await cio.track('3', { name: 'activated' });
  s.cli('clock', 'advance', '72h');
  await s.mail('ben@example.com', 'Three steps');
  assert.equal(s.mails.filter((m) => m.to === 'cleo@example.com').length, 1);
  const why = JSON.parse(s.cli('why', '3', '--campaign', 'onboarding', '--json'));
  assert.ok(why.decisions.some((d) => d.outcome === 'branched' && /activated/.test(d.reason)), 'why tells the branch');
});

test('unsubscribe works by one click, and no mail follows', async () => {
  await cio.identify('4', { email: 'dan@example.com', plan: 'pro' });
  await cio.track('4', { name: 'signed_up', data: { plan: 'pro' } });
  const mail = await s.mail('dan@example.com', 'Welcome');
  const url = mail.headers['list-unsubscribe'].match(/<(http[^>]+)>/)[1];
  assert.equal((await fetch(url)).status, 200);
  assert.equal((await api.getAttributes('4')).customer.unsubscribed, false, 'looking at the page changes nothing');
  const res = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'List-Unsubscribe=One-Click' });
  assert.equal(res.status, 200);
  assert.equal((await api.getAttributes('4')).customer.unsubscribed, true);
  await cio.track('4', { name: 'signed_up', data: { plan: 'pro' } });
  await until('the second welcome is suppressed', async () => (await s.app('/customers/4/messages')).messages.some((m) => m.metrics.suppressed));
  assert.equal(s.mails.filter((m) => m.to === 'dan@example.com').length, 1);
});

test('a transactional receipt', async () => {
  const req = new SendEmailRequest({
    to: 'eve@example.com', transactional_message_id: 'receipt', identifiers: { id: '5' },
    message_data: { number: 'R-7', lines: [{ name: 'Tea', price: '4.00' }] },
  });
  const answer = await api.sendEmail(req);
  assert.equal(typeof answer.delivery_id, 'string');
  assert.equal(typeof answer.queued_at, 'number');
  const mail = await s.mail('eve@example.com', 'Your receipt R-7');
  assert.match(mail.body, /Tea: 4\.00/);
  const { message } = await until('the delivery is known', async () => {
    const m = await s.app(`/messages/${answer.delivery_id}`);
    return m.message?.metrics.sent && m;
  });
  assert.equal(message.recipient, 'eve@example.com');
});

test('the client\'s other person calls', async () => {
  await cio.identify('a/b+c %', { plan: 'free' });
  assert.equal((await api.getAttributes('a/b+c %')).customer.attributes.plan, 'free');
  await cio.identify('Flo+x@example.com', { plan: 'team' });
  assert.equal((await api.getAttributes('flo+X@example.com', 'email')).customer.attributes.plan, 'team');
  assert.equal((await api.getCustomersByEmail('flo+x@example.com')).results.length, 1);
  await cio.addDevice('6', 'token-1', 'ios', { last_used: 1700000000 });
  assert.equal((await api.getAttributes('6')).customer.devices[0].id, 'token-1');
  await cio.deleteDevice('6', 'token-1');
  assert.equal((await api.getAttributes('6')).customer.devices.length, 0);
  await cio.trackPageView('6', 'https://acme.example/pricing');
  await cio.trackAnonymous('anon-1', { name: 'looked' });
  const types = (await s.app('/activities?limit=50')).activities.map((a) => a.type);
  assert.ok(types.includes('page') && types.includes('event'));
  await cio.suppress('6');
  await assert.rejects(api.getAttributes('6'), (e) => e.statusCode === 404);
  await cio.unsuppress('6');
  await cio.identify('6', { plan: 'pro' });
  assert.equal((await api.getAttributes('6')).customer.attributes.plan, 'pro');
  await cio.destroy('6');
  await assert.rejects(api.getAttributes('6'), (e) => e.statusCode === 404);
  const { segments } = await s.app('/segments');
  const vip = segments.find((x) => x.name.startsWith('VIP'));
  const add = await fetch(`${s.url}/api/v1/segments/${vip.id}/add_customers`, {
    method: 'POST', body: JSON.stringify({ ids: ['1'] }),
    headers: { authorization: `Basic ${btoa(`${keys.siteId}:${keys.apiKey}`)}`, 'content-type': 'application/json' },
  });
  assert.equal(add.status, 200);
  assert.deepEqual(await s.app(`/segments/${vip.id}/customer_count`), { count: 1 });
});

test('wrong keys get the vendor\'s answer', async () => {
  const bad = new TrackClient('nobody', 'nothing', { url: `${s.url}/api/v1`, retry: { maxRetries: 0 } });
  await assert.rejects(bad.identify('1', {}), (e) => e.statusCode === 401);
  const res = await fetch(`${s.url}/v1/segments`, { headers: { authorization: 'Bearer wrong' } });
  assert.equal(res.status, 401);
  const body = await res.json();
  assert.equal(body.errors[0].status, '401');
  assert.equal(body.meta.status, 401);
});
