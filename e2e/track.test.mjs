// Every method of the vendor's Track client, unmodified but for the base URL, and what it leaves behind by the App and admin APIs.
import test from 'node:test';
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { TrackClient, APIClient, SendEmailRequest } from 'customerio-node';
import { start, keys, root, until } from './harness.mjs';

const methods = Object.getOwnPropertyNames(TrackClient.prototype).filter((m) => m !== 'constructor');
const called = new Set();
let s, cio, api;
test.before(async () => {
  s = await start();
  s.cli('apply', '-f', join(root, 'examples', 'onboarding.yaml'));
  const client = new TrackClient(keys.siteId, keys.apiKey, { url: `${s.url}/api/v1` });
  cio = new Proxy(client, {
    get(target, name) {
      called.add(name);
      return target[name].bind(target);
    },
  });
  api = new APIClient(keys.app, { url: `${s.url}/v1` });
});
test.after(async () => {
  assert.equal(await s.stop(), 0, 'a clean stop');
  assert.equal(methods.length, 19, 'the client has 19 methods');
  assert.deepEqual(methods.filter((m) => !called.has(m)), [], 'methods that no test calls');
});

const get = (path, key) => fetch(`${s.url}${path}`, { headers: { authorization: `Bearer ${key}` } });
const post = (path, body, headers = {}) => fetch(`${s.url}${path}`, {
  method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers },
});

/** The person as the App API shows them, undefined if there is none. */
async function person(id, type = 'id') {
  const res = await get(`/v1/customers/${encodeURIComponent(id)}/attributes?id_type=${type}`, keys.app);
  return res.ok ? (await res.json()).customer : undefined;
}

/** Waits until the person is as look wants them, and returns them. */
const seen = (what, id, look, type) => until(what, async () => {
  const p = await person(id, type);
  return p && look(p) && p;
});
const gone = (id) => until(`${id} is gone`, async () => !(await person(id)));
const activities = async (id) => (await s.app(`/customers/${id}/activities?limit=100`)).activities ?? [];

/** The activities of a person of a type and name, as soon as there are n of them. */
async function activity(id, type, name, n = 1) {
  const found = await until(`${n} times ${type} ${name} of ${id}`, async () => {
    const mine = (await activities(id)).filter((a) => a.type === type && (name === undefined || a.name === name));
    return mine.length >= n && mine;
  });
  assert.equal(found.length, n, `${type} ${name} of ${id}`);
  return found;
}

/** Sends somebody a receipt and returns the id of the delivery once it was sent. */
async function receipt(id) {
  const sent = await api.sendEmail(new SendEmailRequest({
    to: `${id}@example.com`, transactional_message_id: 'receipt', identifiers: { id }, message_data: { number: id, lines: [] },
  }));
  await message(sent.delivery_id, (m) => m.metrics.sent);
  return sent.delivery_id;
}

/** A message, as soon as look agrees. */
const message = (delivery, look) => until(`message ${delivery}`, async () => {
  const { message: m } = await s.app(`/messages/${delivery}`);
  return m && look(m) && m;
});

test('identify: attributes, an identifier that comes later, and one changed by cio_id', async () => {
  assert.deepEqual(await cio.identify('t1', { email: 'T1@example.com', plan: 'pro', nested: { deep: [1, 'two'] }, created_at: 1700000000 }), {});
  const p = await seen('t1', 't1', (c) => c.attributes.plan === 'pro');
  assert.equal(p.identifiers.email, 'T1@example.com');
  assert.equal(p.attributes.created_at, '1700000000', 'attributes are strings');
  assert.deepEqual(JSON.parse(p.attributes.nested), { deep: [1, 'two'] });
  await cio.identify(`cio_${p.identifiers.cio_id}`, { email: 'new@example.com', plan: '' });
  const changed = await seen('the new email', 'new@EXAMPLE.com', (c) => c.attributes.plan === undefined, 'email');
  assert.equal(changed.identifiers.cio_id, p.identifiers.cio_id);
});

test('destroy, suppress, unsuppress', async () => {
  await cio.identify('t2', { plan: 'pro' });
  await cio.destroy('t2');
  await gone('t2');
  await cio.identify('t2', { plan: 'again' });
  await seen('t2 again', 't2', (c) => c.attributes.plan === 'again');
  await cio.suppress('t2');
  await gone('t2');
  await cio.identify('t2', { plan: 'ignored' });
  await cio.identify('t2-after', {});
  await seen('the write after it', 't2-after', () => true);
  assert.equal(await person('t2'), undefined, 'a suppressed id stays away');
  await cio.unsuppress('t2');
  await cio.identify('t2', { plan: 'back' });
  const back = await seen('t2 back', 't2', (c) => c.attributes.plan === 'back');
  assert.equal(back.attributes.created_at, undefined, 'nothing of before is restored');
});

test('track and trackPageView', async () => {
  await cio.identify('t3', {});
  const id = '01HB4HBDKTFWYZCK01DMRSWRFD';
  await cio.track('t3', { name: ' bought ', data: { total: 12.5, items: ['tea'] }, timestamp: 1700000000, id });
  const [bought] = await activity('t3', 'event', 'bought');
  assert.deepEqual(bought.data, { total: 12.5, items: ['tea'] });
  assert.equal(bought.timestamp, 1700000000);
  await cio.trackPageView('t3', 'https://acme.example/pricing');
  const [page] = await activity('t3', 'page', 'https://acme.example/pricing');
  assert.ok(page.timestamp > 1700000000);
});

test('trackAnonymous: events join the person who receives the anonymous id', async () => {
  await cio.trackAnonymous('anon-7', { name: 'looked', data: { at: 'tea' } });
  await cio.trackAnonymous('', { name: 'invited', data: { recipient: 'friend@example.com' } });
  await cio.identify('t4', { anonymous_id: 'anon-7' });
  const [looked] = await activity('t4', 'event', 'looked');
  assert.equal(looked.anonymous_id, 'anon-7');
  const { activities: all } = await s.app('/activities?limit=100&type=event&name=invited');
  assert.equal(all.length, 1);
  assert.equal(all[0].customer_id, null, 'an invite is nobody\'s');
});

test('addDevice and deleteDevice', async () => {
  await cio.identify('t5', {});
  await cio.addDevice('t5', 'tok/1', 'ios', { last_used: 1700000000, device_os: '17.1', push_enabled: 'true' });
  const { devices: [d] } = await seen('the device', 't5', (c) => c.devices.length === 1);
  assert.deepEqual([d.id, d.platform, d.last_used], ['tok/1', 'ios', 1700000000]);
  assert.deepEqual(d.attributes, { device_os: '17.1', push_enabled: 'true' });
  await cio.addDevice('t5', 'tok-2', 'android');
  await seen('two devices', 't5', (c) => c.devices.length === 2);
  await cio.deleteDevice('t5', 'tok/1');
  const left = await seen('one device', 't5', (c) => c.devices.length === 1);
  assert.equal(left.devices[0].id, 'tok-2');
});

test('mergeCustomers', async () => {
  await cio.identify('t6', { plan: 'pro' });
  await cio.identify('t6-old', { email: 't6@example.com', plan: 'free', colour: 'red' });
  await cio.track('t6-old', { name: 'seen before' });
  await cio.mergeCustomers('id', 't6', 'email', 't6@example.com');
  const p = await seen('the merge', 't6', (c) => c.attributes.colour === 'red');
  assert.equal(p.attributes.plan, 'pro', 'what the primary has stays');
  await activity('t6', 'event', 'seen before');
  await gone('t6-old');
});

test('addCustomersToSegment and removeCustomersFromSegment', async () => {
  await cio.identify('t7', { email: 't7@example.com' });
  await cio.identify('t8', { email: 't8@example.com' });
  const { segments } = await s.app('/segments');
  const { id } = segments.find((x) => x.type === 'manual');
  const members = (want) => until(`members ${want}`, async () => {
    const { ids } = await s.app(`/segments/${id}/membership`);
    return JSON.stringify(ids.toSorted()) === JSON.stringify(want);
  });
  await cio.addCustomersToSegment(id, ['t7', 'nobody']);
  await cio.addCustomersToSegment(id, ['t8@example.com'], 'email');
  await members(['t7', 't8']);
  await cio.removeCustomersFromSegment(id, ['t7']);
  await members(['t8']);
});

test('submitForm', async () => {
  await cio.submitForm('newsletter/1', { email: 't9@example.com', first_name: 'Nine', form_name: 'left out' });
  const p = await seen('the person of the form', 't9@example.com', (c) => c.attributes.first_name === 'Nine', 'email');
  assert.equal(p.attributes.form_name, undefined);
  const form = await until('the form', async () => (await (await get('/admin/v1/forms', keys.admin)).json()).forms.find((f) => f.id === 'newsletter/1'));
  assert.equal(form.submissions, 1);
  await assert.rejects(cio.submitForm('newsletter/1', { first_name: 'Nobody' }), (e) => e.statusCode === 400);
});

test('reportMetric: what became of a message', async () => {
  await cio.identify('t10', { email: 't10@example.com' });
  const delivery = await receipt('t10');
  const now = Math.floor(Date.now() / 1000);
  await cio.reportMetric({ delivery_id: delivery, metric: 'delivered', timestamp: now, recipient: 't10@example.com' });
  await cio.reportMetric({ delivery_id: delivery, metric: 'clicked', href: 'https://acme.example/a' });
  const m = await message(delivery, (x) => x.metrics.clicked);
  assert.ok(m.metrics.delivered && m.metrics.opened, 'delivered, and a click is an open');
  assert.equal(m.failure_message, null);
  await cio.reportMetric({ delivery_id: delivery, metric: 'bounced', reason: '550 no such user' });
  const bounced = await message(delivery, (x) => x.metrics.bounced);
  assert.equal(bounced.failure_message, '550 no such user');
  assert.equal(bounced.state, 'bounced');
  await cio.reportMetric({ delivery_id: 'nobody', metric: 'opened' });
  const failed = await until('a note of the report about nothing', async () => {
    const { activities: all } = await s.app('/activities?limit=100&type=failed_attribute_change');
    return all.find((a) => a.data.reason === 'no delivery has this id');
  });
  assert.equal(failed.customer_id, null);
});

test('trackPush: what became of a push, and the device keeps it', async () => {
  await cio.identify('t11', { email: 't11@example.com' });
  await cio.addDevice('t11', 'push-token', 'android');
  const delivery = await receipt('t11');
  await cio.trackPush({ delivery_id: delivery, event: 'opened', device_id: 'push-token', timestamp: Math.floor(Date.now() / 1000) });
  await message(delivery, (m) => m.metrics.opened);
  const p = await seen('the status', 't11', (c) => c.devices[0].attributes?._last_status);
  assert.equal(p.devices[0].attributes._last_status, 'sent');
});

test('unsubscribe, and back', async () => {
  await cio.identify('t12', { email: 't12@example.com' });
  const delivery = await receipt('t12');
  await cio.unsubscribe(delivery);
  await seen('unsubscribed', 't12', (c) => c.unsubscribed);
  await message(delivery, (m) => m.metrics.unsubscribed);
  await cio.unsubscribe(delivery, false);
  await seen('subscribed', 't12', (c) => !c.unsubscribed);
  await assert.rejects(cio.unsubscribe('nobody'), (e) => e.statusCode === 400);
});

test('getAccountRegion', async () => {
  const { workspaces: [w] } = await s.app('/workspaces');
  assert.deepEqual(await cio.getAccountRegion(), { url: s.url, region: 'us', environment_id: w.id });
});

test('entity and batch', async () => {
  await cio.entity({ type: 'person', action: 'identify', identifiers: { id: 't13' }, attributes: { plan: 'pro' } });
  await seen('t13', 't13', (c) => c.attributes.plan === 'pro');
  const delivery = await receipt('t13');
  const answer = await cio.batch([
    { type: 'person', action: 'identify', identifiers: { id: 't14' }, attributes: { email: 't14@example.com' } },
    { type: 'person', action: 'event', identifiers: { email: 't14@example.com' }, name: 'bought', attributes: { total: 3 } },
    { type: 'person', action: 'add_device', identifiers: { id: 't14' }, device: { token: 'tok-14', platform: 'ios' } },
    { type: 'delivery', action: 'event', identifiers: { id: delivery }, name: 'opened', attributes: { device_token: 'tok-14' } },
    { type: 'person', action: 'merge', primary: { id: 't14' }, secondary: { id: 't13' } },
  ]);
  assert.deepEqual(answer, {});
  const p = await seen('the merged person', 't14', (c) => c.attributes.plan === 'pro');
  assert.equal(p.devices[0].id, 'tok-14');
  assert.deepEqual((await activity('t14', 'event', 'bought'))[0].data, { total: 3 });
  await message(delivery, (m) => m.metrics.opened);
  const partly = await cio.batch([
    { type: 'person', action: 'delete', identifiers: { id: 't14' } },
    { type: 'person', action: 'event', identifiers: { id: 't15' } },
  ]);
  assert.deepEqual(partly, { errors: [{ batch_index: 1, reason: 'invalid', field: 'name', message: 'is required' }] });
  await gone('t14');
  assert.equal(await person('t15'), undefined);
});

test('the older paths: push events at the root, in-app events, and sends on the Track host', async () => {
  await cio.identify('t16', { email: 't16@example.com' });
  const track = `Basic ${btoa(`${keys.siteId}:${keys.apiKey}`)}`;
  const delivery = await receipt('t16');
  assert.equal((await post('/push/events', { delivery_id: delivery, event: 'delivered', device_id: 'x' }, { authorization: track })).status, 200);
  assert.equal((await post('/api/v1/cio_deliveries/events', {
    type: 'in_app', payload: { delivery_id: delivery, event: 'clicked', timestamp: 1700000000, metadata: { action_name: 'buy' } },
  })).status, 200);
  const m = await message(delivery, (x) => x.metrics.delivered && x.metrics.clicked);
  assert.ok(m.metrics.clicked >= m.created, 'not before it was made');
  const send = await post('/v1/send/email', { to: 't16@example.com', transactional_message_id: 'receipt', identifiers: { id: 't16' }, message_data: { number: 'by the command line' } },
    { authorization: `Bearer ${keys.app}`, 'x-workspace-id': '1' });
  assert.equal(send.status, 200);
  await s.mail('t16@example.com', 'Your receipt by the command line');
});
