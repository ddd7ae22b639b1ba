// Every method of the vendor's App client that has something to answer here, unmodified but for the base URL, on SQLite and on
// PostgreSQL: what it answers and what it does. It prints the list of them.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import {
  APIClient, TrackClient, CustomerIORequestError, IdentifierType, SendEmailRequest,
} from 'customerio-node';
import { start, keys, root, until } from './harness.mjs';

// What the vendor's client can ask for and the server answers 501. A method that is built is taken out and gets a case.
const missing = new Set(`
  sendPush sendSMS sendWhatsApp sendInboxMessage sendInApp triggerBroadcast getBroadcastTriggerStatus getBroadcastTriggerErrors getBroadcastTriggers
  getTransactionalMessageMetrics getTransactionalMessageLinkMetrics
  getCampaignActionMetrics getCampaignActionMetricsLinks getCampaignMetrics getCampaignMetricsLinks getCampaignJourneyMetrics
  getBroadcastActionMetrics getBroadcastActionMetricsLinks getBroadcastMetrics getBroadcastMetricsLinks
  listNewsletters createNewsletter getNewsletter deleteNewsletter getNewsletterContents getNewsletterContent updateNewsletterContent
  getNewsletterContentMetrics getNewsletterContentMetricsLinks getNewsletterMetrics getNewsletterMetricsLinks getNewsletterMessages
  sendNewsletter scheduleNewsletter createNewsletterLanguage getNewsletterLanguage updateNewsletterLanguage deleteNewsletterLanguage
  getNewsletterTestGroups createNewsletterTestGroup createNewsletterTestGroupLanguage getNewsletterTestGroupLanguage
  updateNewsletterTestGroupLanguage deleteNewsletterTestGroupLanguage
  listDesignStudioFolders createDesignStudioFolder getDesignStudioFolder updateDesignStudioFolder deleteDesignStudioFolder
  listDesignStudioEmails createDesignStudioEmail getDesignStudioEmail updateDesignStudioEmail deleteDesignStudioEmail
  listDesignStudioEmailLanguages createDesignStudioEmailLanguage getDesignStudioEmailLanguage updateDesignStudioEmailLanguage
  deleteDesignStudioEmailLanguage listDesignStudioComponents createDesignStudioComponent getDesignStudioComponent
  updateDesignStudioComponent deleteDesignStudioComponent
  listAssets createAsset getAsset updateAsset deleteAsset listAssetFolders createAssetFolder getAssetFolder updateAssetFolder deleteAssetFolder
  listCollections createCollection getCollection updateCollection deleteCollection getCollectionContent updateCollectionContent
  searchSuppression getSuppressions getDomainSuppressions createSuppression deleteSuppression
  listReportingWebhooks createReportingWebhook getReportingWebhook updateReportingWebhook deleteReportingWebhook
  getSnippets createSnippet updateSnippet deleteSnippet
`.split(/\s+/).filter(Boolean));
const methods = Object.getOwnPropertyNames(APIClient.prototype).filter((m) => m !== 'constructor' && m !== 'resourceBase'); // the last is its own helper

/** A database of its own in the cluster that e2e/run starts, and the flags that lead there. */
function postgres() {
  const name = `e2e_${randomBytes(6).toString('hex')}`;
  const base = process.env.RAPPORT_TEST_POSTGRES_URL;
  execFileSync('psql', ['-q', '-c', `CREATE DATABASE ${name}`, base]);
  const url = new URL(base);
  url.pathname = `/${name}`;
  return ['--database-url', url.href];
}

/** A place to fetch a file of people from. */
async function fileServer() {
  const server = createServer((_, res) => res.end('id,email,plan\ncara,cara@example.com,pro\n,,\ndan,dan@example.com,free\n'));
  await new Promise((ok) => server.listen(0, '127.0.0.1', ok));
  const host = `127.0.0.1:${server.address().port}`;
  return { host, url: `http://${host}/people.csv`, stop: () => server.close() };
}

for (const [database, flags] of [['SQLite', () => []], ['PostgreSQL', postgres]]) {
  test(`the vendor's App client on ${database}`, async (t) => {
    const csv = await fileServer();
    const s = await start([...flags(), '--import-hosts', csv.host, '--sending-ips', '192.0.2.7']);
    const list = [];
    let statuses = [];
    const plain = globalThis.fetch;
    globalThis.fetch = async (...args) => {
      const res = await plain(...args);
      statuses.push(res.status);
      return res;
    };
    try {
      s.cli('apply', '-f', join(root, 'examples', 'onboarding.yaml'));
      s.cli('apply', '-f', join(root, 'e2e', 'app.yaml'));
      const track = new TrackClient(keys.siteId, keys.apiKey, { url: `${s.url}/api/v1` });
      const client = new APIClient(keys.app, { url: `${s.url}/v1` });
      const called = {};
      const api = new Proxy(client, {
        get: (target, name) => async (...args) => {
          statuses = [];
          const got = await target[name](...args);
          called[name] = statuses.at(-1);
          return got;
        },
      });
      /** One method and what it must do; work asserts that. */
      const shows = (name, effect, work) => t.test(`${name}: ${effect}`, async () => {
        await work(api[name]);
        list.push([name, called[name], effect]);
        assert.ok(called[name], `${name} was called`);
      });
      await cases({ s, csv, track, api, shows });
      await t.test('every method is in one of the lists', () => {
        const shown = new Set(list.map(([name]) => name));
        assert.equal(methods.length, 160, 'the client has 160 methods');
        assert.deepEqual(methods.filter((m) => shown.has(m) === missing.has(m)), [], 'methods in both lists or in none');
        assert.deepEqual([...missing].filter((m) => !methods.includes(m)), [], 'names that are no methods');
      });
    } finally {
      globalThis.fetch = plain;
      csv.stop();
      assert.equal(await s.stop(), 0, 'a clean stop');
    }
    const wide = Math.max(...list.map(([name]) => name.length));
    t.diagnostic(`APIClient on ${database}: ${list.length} of ${methods.length} methods\n${list.map(([name, status, effect]) => `${name.padEnd(wide)} ${status} ${effect}`).join('\n')}`);
  });
}

/** All pages of a list. */
async function pages(read, part) {
  const all = [];
  for (let start; ;) {
    const page = await read(start);
    all.push(...page[part]);
    if (!page.next) return all;
    start = page.next;
  }
}
const ids = (people) => people.map((p) => p.id).sort();

async function cases({ s, csv, track, api, shows }) {
  await track.identify('ada', { email: 'ada@example.com', plan: 'pro', first_name: 'Ada', age: 36 });
  await track.identify('bob', { email: 'bob@example.com', plan: 'free' });
  await track.identify('gone', { plan: 'pro' });
  await track.destroy('gone');
  await track.addDevice('ada', 'token-1', 'ios');
  await track.track('ada', { name: 'signed_up', data: { plan: 'pro' } });
  await track.batch([
    { type: 'object', identifiers: { object_type_id: '1', object_id: 'acme' }, action: 'identify', attributes: { name: 'Acme', seats: 9 },
      cio_relationships: [{ identifiers: { id: 'ada' }, relationship_attributes: { role: 'owner' } }, { identifiers: { id: 'bob' } }] },
    { type: 'object', identifiers: { object_type_id: '1', object_id: 'beta' }, action: 'identify', attributes: { name: 'Beta' } },
  ]);

  await people({ track, api, shows });
  await objects({ api, shows });
  await segments({ track, api, shows });
  await messages({ s, api, shows });
  await activities({ api, shows });
  await files({ api, shows });
  await imports({ csv, api, shows });
  await steered({ s, track, api, shows });
  await subscriptions({ track, api, shows });
}

async function people({ track, api, shows }) {
  await shows('getAttributes', 'a write that was just acknowledged, by id, email and cio_id', async (get) => {
    await track.identify('ada', { seen: 7 });
    const { customer } = await get('ada');
    assert.deepEqual([customer.attributes.seen, customer.attributes.plan, customer.identifiers.email], ['7', 'pro', 'ada@example.com']);
    assert.deepEqual(customer.devices.map((d) => [d.id, d.platform]), [['token-1', 'ios']]);
    assert.ok(customer.timestamps.plan > 1_700_000_000);
    for (const [id, type] of [['ADA@example.com', IdentifierType.Email], [customer.identifiers.cio_id, IdentifierType.CioId]]) {
      assert.equal((await get(id, type)).customer.id, 'ada');
    }
    await assert.rejects(get('nobody'), (err) => err instanceof CustomerIORequestError && err.statusCode === 404);
  });
  await shows('getCustomersByEmail', 'the one who has the address, in any case', async (get) => {
    assert.deepEqual((await get('BOB@example.com')).results.map((r) => [r.id, r.email]), [['bob', 'bob@example.com']]);
    assert.deepEqual(await get('nobody+x@example.com'), { results: [] });
  });
  await shows('getCustomersAttributes', 'those of several people, unknown ones left out', async (get) => {
    const { customers } = await get(['bob', 'nobody', 'ada']);
    assert.deepEqual(ids(customers.map((c) => c.customer)), ['ada', 'bob']);
    assert.equal(customers.find((c) => c.customer.id === 'bob').customer.attributes.plan, 'free');
  });
  await shows('searchCustomers', 'everybody whom a nested filter finds, page by page, nobody who was deleted', async (search) => {
    const filter = { and: [{ attribute: { field: 'plan', operator: 'exists' } }, { not: { attribute: { field: 'plan', operator: 'eq', value: 'none' } } }] };
    assert.deepEqual(ids(await pages((start) => search(filter, { limit: 1, start }), 'identifiers')), ['ada', 'bob']);
    assert.deepEqual((await search({ attribute: { field: 'plan', operator: 'eq', value: 'free' } })).ids, ['bob']);
    await assert.rejects(search({ attribute: { field: 'plan', operator: 'near', value: 'x' } }), (err) => err.statusCode === 400);
  });
  await shows('getCustomerRelationships', 'the object and what is known of the relationship', async (get) => {
    const { cio_relationships: [r] } = await get('ada', { limit: 10 });
    assert.deepEqual([r.object_type_id, r.identifiers.object_id, r.attributes.role], [1, 'acme', 'owner']);
  });
}

async function objects({ api, shows }) {
  await shows('listObjectTypes', 'the type that the first object brought', async (get) => {
    assert.deepEqual((await get()).types.map((x) => String(x.id)), ['1']);
  });
  await shows('findObjects', 'objects by attribute, page by page', async (find) => {
    const all = await pages((start) => find('1', { object_attribute: { field: 'name', operator: 'exists', type_id: '1' } }, { limit: 1, start }), 'identifiers');
    assert.deepEqual(all.map((o) => o.object_id).sort(), ['acme', 'beta']);
  });
  await shows('getObjectAttributes', 'those of an object, by its own id and by cio_object_id', async (get) => {
    const { object } = await get('1', 'acme');
    assert.deepEqual([object.attributes.name, object.attributes.seats], ['Acme', 9]);
    assert.equal((await get('1', object.identifiers.cio_object_id, 'cio_object_id')).object.identifiers.object_id, 'acme');
  });
  await shows('getObjectRelationships', 'the people of an object, page by page', async (get) => {
    const all = await pages((start) => get('1', 'acme', { limit: 1, start }), 'cio_relationships');
    assert.deepEqual(ids(all.map((r) => r.identifiers)), ['ada', 'bob']);
  });
}

async function segments({ track, api, shows }) {
  let vip;
  await shows('createSegment', 'a manual segment', async (create) => {
    ({ segment: vip } = await create({ name: 'Friends', description: 'by hand' }));
    assert.deepEqual([vip.name, vip.description, vip.type], ['Friends', 'by hand', 'manual']);
  });
  await track.request.post(`${track.trackRoot}/segments/${vip.id}/add_customers`, { ids: ['ada', 'bob'] });
  await shows('listSegments', 'those of the file and the new one', async (get) => {
    assert.deepEqual((await get()).segments.map((x) => x.name).sort(), ['Friends', 'Paying customers', 'VIP, picked by hand']);
  });
  await shows('getSegment', 'the new one', async (get) => assert.equal((await get(vip.id)).segment.name, 'Friends'));
  await shows('getSegmentCustomerCount', 'the two who were added', async (get) => assert.deepEqual(await get(vip.id), { count: 2 }));
  await shows('getSegmentMembership', 'both of them, page by page', async (get) => {
    assert.deepEqual(ids(await pages((start) => get(vip.id, { limit: 1, start }), 'identifiers')), ['ada', 'bob']);
  });
  await shows('getCustomerSegments', 'the segment of the one who is in it', async (get) => {
    assert.deepEqual((await get('ada@example.com', IdentifierType.Email)).segments.map((x) => x.name), ['Friends']);
  });
  await shows('getSegmentUsedBy', 'the campaign that a segment triggers', async (get) => {
    const paying = (await api.listSegments()).segments.find((x) => x.name === 'Paying customers');
    const thanks = (await api.listCampaigns()).campaigns.find((c) => c.name === 'Thank new paying customers');
    assert.deepEqual((await get(paying.id)).used_by.campaigns, [thanks.id]);
  });
  await shows('deleteSegment', 'it is gone', async (destroy) => {
    await destroy(vip.id);
    await assert.rejects(api.getSegment(vip.id), (err) => err.statusCode === 404);
    await assert.rejects(destroy((await api.listSegments()).segments.find((x) => x.type === 'dynamic').id), (err) => err.statusCode >= 400 && err.statusCode < 500);
  });
}

async function messages({ s, api, shows }) {
  let campaign, sent, receipt;
  await shows('listCampaigns', 'the running campaigns of the file', async (get) => {
    const { campaigns } = await get();
    campaign = campaigns.find((c) => c.name === 'Onboarding');
    assert.deepEqual(campaigns.map((c) => [c.name, c.state]).sort(), [['Onboarding', 'running'], ['Thank new paying customers', 'running'], ['Weekly', 'running']]);
  });
  await shows('getCampaign', 'the same as in the list', async (get) => assert.deepEqual((await get(campaign.id)).campaign, campaign));
  await s.mail('ada@example.com', 'Welcome, Ada');
  await shows('getCampaignMessages', 'the welcome, which was sent', async (get) => {
    sent = await until('the welcome', async () => (await get(campaign.id, { type: 'email', metric: 'sent' })).messages[0]);
    assert.deepEqual([sent.subject, sent.recipient, sent.customer_id], ['Welcome, Ada', 'ada@example.com', 'ada']);
    assert.deepEqual((await get(campaign.id, { metric: 'bounced' })).messages, []);
  });
  await shows('sendEmail', 'a mail leaves, and its id is that of the message', async (send) => {
    receipt = await send(new SendEmailRequest({
      to: 'bob@example.com', transactional_message_id: 'receipt', identifiers: { id: 'bob' }, message_data: { number: 12, lines: [{ name: 'Tea', price: 3 }] },
    }));
    const mail = await s.mail('bob@example.com', 'Your receipt 12');
    assert.match(mail.body, /Tea: 3/);
  });
  await shows('getMessage', 'the message of that id, sent', async (get) => {
    const message = await until('it is sent', async () => {
      const { message: m } = await get(receipt.delivery_id);
      return m.metrics.sent && m;
    });
    assert.deepEqual([message.subject, message.customer_id, message.type], ['Your receipt 12', 'bob', 'email']);
    await assert.rejects(get('nothing'), (err) => err.statusCode === 404);
  });
  await shows('getArchivedMessage', 'what it said', async (get) => {
    const { archived_message: said } = await get(receipt.delivery_id);
    assert.equal(said.subject, 'Your receipt 12');
    assert.match(said.recipient, /bob@example\.com/);
    assert.match(said.body, /Tea: 3/);
  });
  await shows('getMessages', 'both, page by page, the newest first', async (get) => {
    const all = await pages((start) => get({ limit: 1, start }), 'messages');
    assert.deepEqual(all.map((m) => m.id), [receipt.delivery_id, sent.id]);
  });
  await shows('getCustomerMessages', 'those of one person', async (get) => {
    assert.deepEqual((await get('ada', { limit: 10, start_ts: 1 })).messages.map((m) => m.id), [sent.id]);
    assert.deepEqual((await get('bob@example.com', { idType: IdentifierType.Email, end_ts: 1_700_000_000 })).messages, []);
  });
  await shows('getTransactionalMessageDeliveries', 'the receipt', async (get) => {
    const { transactional_message_id: id } = (await api.getMessage(receipt.delivery_id)).message;
    assert.deepEqual((await get(id, { metric: 'sent' })).messages.map((m) => m.id), [receipt.delivery_id]);
  });
  await shows('listWorkspaces', 'the one of the key, with its people', async (get) => {
    const { workspaces } = await get();
    assert.deepEqual(workspaces.map((w) => [w.name, w.people]), [['acme', 2]]);
  });
}

async function activities({ api, shows }) {
  await shows('getCustomerActivities', 'those of a type, of a name, and all of them page by page', async (get) => {
    assert.deepEqual((await get('ada', { type: 'event', name: 'signed_up' })).activities.map((a) => [a.name, a.data.plan]), [['signed_up', 'pro']]);
    assert.deepEqual((await get('ada', { type: 'attribute_change', name: 'seen' })).activities.map((a) => a.data.seen.to), [7]);
    assert.equal((await get('ada@example.com', { idType: IdentifierType.Email, type: 'sent_email' })).activities.length, 1);
    const all = await pages((start) => get('ada', { limit: 2, start }), 'activities');
    assert.equal(new Set(all.map((a) => a.id)).size, all.length);
    for (const type of ['profile_create', 'device_change', 'event', 'add_relationship', 'attribute_change', 'sent_email']) {
      assert.ok(all.some((a) => a.type === type), type);
    }
    await assert.rejects(get('ada', { type: 'no_such_type' }), (err) => err.statusCode === 400);
  });
  await shows('listActivities', 'those of everybody, of objects, and of one who was deleted, whom it does not name', async (list) => {
    assert.equal((await list({ type: '_o:1:create' })).activities.length, 2);
    assert.deepEqual((await list({ customerId: 'bob', idType: IdentifierType.Id, type: 'profile_create' })).activities.map((a) => a.customer_id), ['bob']);
    const [gone] = (await list({ deleted: true, limit: 100 })).activities.filter((a) => a.type === 'profile_delete');
    assert.deepEqual([gone.customer_id, gone.customer_identifiers.id, gone.data], [null, null, undefined]);
    assert.ok(!(await list({ limit: 100 })).activities.some((a) => a.type === 'profile_delete'));
  });
}

async function files({ api, shows }) {
  const done = (id) => until(`export ${id}`, async () => {
    const { export: e } = await api.getExport(id);
    return e.status === 'done' && e;
  });
  let people, deliveries;
  await shows('createCustomersExport', 'an order for those whom a filter finds', async (create) => {
    ({ export: people } = await create({ attribute: { field: 'plan', operator: 'eq', value: 'pro' } }));
    assert.deepEqual([people.type, people.status], ['customers', 'pending']);
  });
  await shows('getExport', 'it becomes done, with one row', async (get) => {
    await done(people.id);
    const { export: e } = await get(people.id);
    assert.deepEqual([e.status, e.total, e.failed], ['done', 1, false]);
  });
  await shows('downloadExport', 'a link that needs no key, to a file that has the person', async (get) => {
    const { url } = await get(people.id);
    const csv = await (await fetch(url)).text();
    const [head, ...rows] = csv.trim().split('\n');
    assert.match(head, /^id,email,cio_id,/);
    assert.equal(rows.length, 1);
    assert.match(rows[0], /^ada,ada@example\.com,/);
  });
  await shows('createDeliveriesExport', 'a file of a newsletter\'s deliveries, of which there are none yet', async (create) => {
    ({ export: deliveries } = await create(1));
    assert.equal(deliveries.type, 'deliveries');
    assert.equal((await done(deliveries.id)).total, 0);
  });
  await shows('listExports', 'both of them', async (get) => {
    assert.deepEqual((await get()).exports.map((e) => e.id).sort(), [people.id, deliveries.id].sort());
  });
}

async function imports({ csv, api, shows }) {
  let order;
  await shows('createImport', 'an order to fetch a file; one that is no web address is refused', async (create) => {
    ({ import: order } = await create({ name: 'June', type: 'people', identifier: 'id', data_file_url: csv.url }));
    assert.deepEqual([order.name, order.type, order.identifier], ['June', 'people', 'id']);
    await assert.rejects(create({ name: 'x', type: 'people', identifier: 'id', data_file_url: 'ftp://example.com/x.csv' }), (err) => err.statusCode === 400);
  });
  await shows('getImport', 'two rows are imported, and the people are there', async (get) => {
    const end = await until('the import', async () => {
      const { import: i } = await get(order.id);
      assert.notEqual(i.state, 'failed', i.error);
      return i.rows_imported === 2 && i;
    });
    assert.equal(end.rows_to_import, 2);
    assert.equal((await api.getAttributes('cara')).customer.attributes.plan, 'pro');
    assert.deepEqual(await api.getCustomersByEmail('dan@example.com').then((r) => ids(r.results)), ['dan']);
  });
}

async function steered({ s, track, api, shows }) {
  const find = (list, name) => list.find((x) => x.name === name);
  const weekly = find((await api.listCampaigns()).campaigns, 'Weekly');
  let action, broadcast, offer, notice;
  await shows('getCampaignActions', 'the one mail of a campaign', async (get) => {
    const { actions } = await get(weekly.id);
    action = actions.find((a) => a.subject === 'Your week');
    assert.equal(action.campaign_id, weekly.id);
  });
  await shows('getCampaignAction', 'the same as in the list', async (get) => assert.deepEqual((await get(weekly.id, action.id)).action, action));
  await shows('updateCampaignAction', 'the next mail has the new subject', async (put) => {
    assert.equal((await put(weekly.id, action.id, { subject: 'Your new week' })).action.subject, 'Your new week');
    await track.track('bob', { name: 'week_passed' });
    await s.mail('bob@example.com', 'Your new week');
  });
  await shows('updateCampaignActionLanguage', 'a mail to somebody with the language has it', async (put) => {
    await put(weekly.id, action.id, 'de', { subject: 'Deine neue Woche' });
    await track.identify('emil', { email: 'emil@example.com', language: 'de' });
    await track.track('emil', { name: 'week_passed' });
    await s.mail('emil@example.com', 'Deine neue Woche');
  });
  await shows('getCampaignActionLanguage', 'what was changed; none is a 400', async (get) => {
    assert.equal((await get(weekly.id, action.id, 'de')).action.subject, 'Deine neue Woche');
    await assert.rejects(get(weekly.id, action.id, 'xx'), (err) => err.statusCode === 400);
  });
  await shows('listBroadcasts', 'the one of the file, which is no campaign', async (get) => {
    const { broadcasts } = await get();
    [broadcast] = broadcasts;
    assert.deepEqual(broadcasts.map((x) => x.name), ['Sale']);
    assert.equal(find((await api.listCampaigns()).campaigns, 'Sale'), undefined);
  });
  await shows('getBroadcast', 'the same as in the list', async (get) => assert.deepEqual((await get(broadcast.id)).broadcast, broadcast));
  await shows('getBroadcastActions', 'its mail', async (get) => {
    offer = (await get(broadcast.id)).actions.find((a) => a.subject === 'Sale');
    assert.equal(offer.broadcast_id, broadcast.id);
  });
  await shows('getBroadcastAction', 'the same as in the list', async (get) => assert.deepEqual((await get(broadcast.id, offer.id)).action, offer));
  await shows('updateBroadcastAction', 'the new subject is read', async (put) => {
    await put(broadcast.id, offer.id, { subject: 'Big sale' });
    assert.equal((await api.getBroadcastAction(broadcast.id, offer.id)).action.subject, 'Big sale');
  });
  await shows('updateBroadcastActionLanguage', 'the language alone is changed', async (put) => {
    await put(broadcast.id, offer.id, 'de', { subject: 'Grosses Angebot' });
    assert.equal((await api.getBroadcastAction(broadcast.id, offer.id)).action.subject, 'Big sale');
  });
  await shows('getBroadcastActionLanguage', 'what was changed', async (get) => assert.equal((await get(broadcast.id, offer.id, 'de')).action.subject, 'Grosses Angebot'));
  await shows('getBroadcastMessages', 'none, for nobody started it', async (get) => assert.deepEqual((await get(broadcast.id, { limit: 5 })).messages, []));

  await shows('listTransactionalMessages', 'those of both files', async (get) => {
    const { messages: all } = await get();
    notice = find(all, 'Notice');
    assert.deepEqual(all.map((m) => m.name).sort(), ['Notice', 'Receipt']);
  });
  await shows('getTransactionalMessage', 'the same as in the list', async (get) => assert.deepEqual((await get(notice.id)).message, notice));
  let contents;
  await shows('getTransactionalMessageContents', 'the message and its language', async (get) => {
    ({ contents } = await get(notice.id));
    assert.deepEqual(contents.map((c) => [c.language, c.subject]), [['', 'Notice'], ['de', 'Hinweis']]);
  });
  const mail = (language) => api.sendEmail(new SendEmailRequest({
    to: 'cara@example.com', transactional_message_id: 'notice', identifiers: { id: 'cara' }, ...(language && { language }),
  }));
  await shows('updateTransactionalMessageContent', 'the next mail has it', async (put) => {
    await put(notice.id, contents[0].id, { subject: 'New notice' });
    await mail();
    await s.mail('cara@example.com', 'New notice');
  });
  await shows('updateTransactionalMessageLanguage', 'the next mail in that language has it', async (put) => {
    await put(notice.id, 'de', { subject: 'Neuer Hinweis' });
    await mail('de');
    await s.mail('cara@example.com', 'Neuer Hinweis');
  });
  await shows('getTransactionalMessageLanguage', 'what was changed', async (get) => assert.equal((await get(notice.id, 'de')).content[0].subject, 'Neuer Hinweis'));

  let sender;
  await shows('getSenderIdentities', 'the one of the files; none is hidden', async (get) => {
    [sender] = await pages((start) => get({ limit: 1, start }), 'sender_identities');
    assert.equal(sender.email, 'hello@acme.example');
    assert.deepEqual((await get({ hidden: true })).sender_identities, []);
  });
  await shows('getSenderIdentity', 'the same as in the list', async (get) => assert.deepEqual((await get(sender.id)).sender_identity, sender));
  await shows('getSenderIdentityUsedBy', 'the campaign that sends from it, among others', async (get) => {
    const used = await get(sender.id);
    assert.ok((used.used_by ?? used).campaigns.includes(weekly.id));
  });
  await shows('getIpAddresses', 'what the server was started with', async (get) => assert.deepEqual((await get()).ip_addresses, ['192.0.2.7']));
}

async function subscriptions({ track, api, shows }) {
  await shows('listSubscriptionTopics', 'those of the file', async (get) => {
    assert.deepEqual((await get()).topics.map((x) => [x.name, x.subscribed_by_default]), [['News', true], ['Offers', false]]);
  });
  await shows('listSubscriptionChannels', 'email, for one', async (get) => assert.match(JSON.stringify((await get()).channels), /email/));
  await shows('getCustomerSubscriptionPreferences', 'the default, and what the person chose', async (get) => {
    const chosen = async () => (await get('bob')).customer.topics.map((x) => [x.name, x.subscribed]);
    assert.deepEqual(await chosen(), [['News', true], ['Offers', false]]);
    await track.identify('bob', { cio_subscription_preferences: { topics: { topic_1: false, topic_2: true } } });
    assert.deepEqual(await chosen(), [['News', false], ['Offers', true]]);
  });
  await shows('getSubscriptionCenterToken', 'a token that leads to a page', async (get) => {
    const { url, token } = await get('bob');
    assert.ok(token);
    const page = await fetch(url);
    assert.equal(page.status, 200);
    assert.match(await page.text(), /Offers/);
  });
  await shows('batchUpdateAttributes', 'what attributes are for is taken; one without a name is not', async (post) => {
    await post([{ name: 'plan', description: 'What they pay for' }]);
    await assert.rejects(post([{ name: '', description: 'x' }]), (err) => err.statusCode === 422 || err.statusCode === 400);
  });
  await shows('batchUpdateEvents', 'what events are for is taken', async (post) => {
    await post([{ name: 'signed_up', description: 'They came' }]);
    await assert.rejects(post([{ name: 'x', description: 'y'.repeat(300) }]), (err) => err.statusCode === 422 || err.statusCode === 400);
  });
}
