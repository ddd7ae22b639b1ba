// The agents' protocol as others see it: its conformance suite, and the inspector as an independent client.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { start, keys, root, rapport } from './harness.mjs';
import { bearer } from './bearer.mjs';

const modules = join(root, 'e2e', 'node_modules', '@modelcontextprotocol');
const suite = join(modules, 'conformance', 'dist', 'index.js');
const inspector = join(modules, 'inspector', 'clients', 'launcher', 'build', 'index.js');

/** Runs a program to its end. */
function run(program, args, env = {}) {
  return new Promise((ok, no) => {
    const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    const got = { out: '', err: '' };
    child.stdout.on('data', (b) => { got.out += b; });
    child.stderr.on('data', (b) => { got.err += b; });
    child.once('error', no);
    child.once('close', (code) => ok({ code, ...got, all: got.out + got.err }));
  });
}

const conformance = (...args) => run(process.execPath, [suite, 'server', ...args]);

/** Which scenarios of a run passed whole. */
function scenarios(out) {
  const lines = [...out.matchAll(/^([✓✗]) ([\w-]+): (\d+) passed, (\d+) failed/gm)];
  return { passed: lines.filter((l) => l[1] === '✓').map((l) => l[2]), failed: lines.filter((l) => l[1] === '✗').map((l) => l[2]) };
}

test('conformance: every required scenario of both eras, through our HTTP stack on one URL', async (t) => {
  const fixture = spawn(join(root, 'e2e', '.bin', 'conformance'), ['-key', keys.agent], { stdio: ['ignore', 'pipe', 'inherit'] });
  const url = await new Promise((ok) => createInterface({ input: fixture.stdout }).once('line', ok));
  const p = await bearer(url, keys.agent);
  try {
    const unknown = await fetch(url, { method: 'POST', body: '{}' });
    assert.equal(unknown.status, 401, 'the key is asked for');
    for (const [revision, required] of [['2025-11-25', 30], ['2026-07-28', 37]]) {
      const res = await conformance('--url', p.url, '--requirements', revision);
      // Scenarios that a revision does not require come after those that it does, and are listed again with the reason.
      const free = [...res.out.matchAll(/^ {2}[✓✗] ([\w-]+) \(/gm)].map((l) => l[1]);
      const { passed, failed } = scenarios(res.out);
      const scored = passed.filter((s) => !free.includes(s));
      assert.deepEqual(failed.filter((s) => !free.includes(s)), [], res.all);
      assert.equal(res.code, 0, res.all);
      assert.equal(scored.length, required);
      t.diagnostic(`conformance ${revision}: ${scored.length}/${required}`);
      console.log(`conformance ${revision}: ${scored.length}/${required}`);
    }
  } finally {
    await p.stop();
    fixture.kill('SIGINT');
  }
});

test('conformance and inspector against the built binary', async (t) => {
  const s = await start();
  const scratch = mkdtempSync(join(tmpdir(), 'rapport-inspector-'));
  s.cli('apply', '-f', join(root, 'examples', 'onboarding.yaml'));
  t.after(async () => {
    rmSync(scratch, { recursive: true, force: true });
    assert.equal(await s.stop(), 0, 'a clean stop');
  });
  const p = await bearer(`${s.url}/mcp`, keys.agent);
  t.after(p.stop);

  await t.test('scenarios without fixtures', async (t) => {
    const wanted = {
      '2025-11-25': ['server-initialize', 'ping', 'tools-list', 'prompts-list', 'resources-list', 'dns-rebinding-protection', 'server-session-lifecycle'],
      '2026-07-28': ['tools-list', 'prompts-list', 'resources-list', 'caching', 'dns-rebinding-protection', 'http-header-validation', 'sep-2164-resource-not-found',
        'input-required-result-unsupported-methods'],
    };
    for (const [revision, names] of Object.entries(wanted)) {
      const all = await Promise.all(names.map((name) => conformance('--url', p.url, '--scenario', name, '--spec-version', revision)));
      const failed = names.filter((_, i) => all[i].code !== 0);
      assert.deepEqual(failed, [], failed.map((name) => all[names.indexOf(name)].all).join('\n'));
      console.log(`conformance of the binary ${revision}: ${names.length - failed.length}/${names.length}`);
    }
  });

  const env = { MCP_CLIENT_CONFIG_PATH: join(scratch, 'client.json'), HOME: scratch };
  const scopes = ['read', 'read:sensitive', 'write', 'write:live', 'audit'];
  const { secret } = JSON.parse(s.cli('keys', 'create', '--kind', 'agent', '--name', 'inspector', '--scopes', scopes.join(','), '--json'));
  const ways = {
    stdio: [rapport, 'mcp', '-e', `RAPPORT_SERVER=${s.url}`, '-e', `RAPPORT_AGENT_KEY=${secret}`, '-e', 'RAPPORT_TOOLSETS=all'],
    http: ['--transport', 'http', '--server-url', `${s.url}/mcp/x/all`, '--header', `Authorization: Bearer ${secret}`],
  };
  const inspect = (way, era, ...args) => run(process.execPath, [inspector, '--cli', ...ways[way], '--protocol-era', era, '--format', 'json', ...args], env);
  const call = async (way, era, tool, args) => {
    const res = await inspect(way, era, '--method', 'tools/call', '--tool-name', tool, '--tool-args-json', JSON.stringify(args));
    assert.equal(res.code, 0, `${tool} over ${way} in the ${era} era: ${res.all}`);
    return JSON.parse(res.out).result.structuredContent;
  };

  let reads;
  for (const way of Object.keys(ways)) {
    for (const era of ['modern', 'legacy']) {
      await t.test(`inspector, ${way}, ${era}: tools/list --strict`, async () => {
        const res = await inspect(way, era, '--method', 'tools/list', '--strict');
        assert.equal(res.code, 0, res.all);
        assert.equal(res.err, '', 'no findings');
        reads = JSON.parse(res.out).result.tools.filter((tool) => tool.annotations.readOnlyHint).map((tool) => tool.name);
      });
    }
  }

  await t.test('inspector: every read tool', async () => {
    await call('http', 'modern', 'upsert_person', { id: 'ada', attributes: { email: 'ada@example.com', first_name: 'Ada', plan: 'pro' } });
    await call('stdio', 'legacy', 'track_event', { id: 'ada', name: 'signed_up', data: { plan: 'pro' } });
    await s.mail('ada@example.com', 'Welcome, Ada');
    const [segment] = (await s.app('/segments')).segments;
    const [campaign] = (await s.app('/campaigns')).campaigns;
    const [message] = (await s.app('/messages')).messages;
    const of = {
      get_workspace: {}, search_people: { email: 'ada@example.com' }, get_person: { id: 'ada', include: ['attributes', 'segments', 'messages', 'activities'] },
      list_segments: {}, explain_membership: { id: 'ada', segment_id: String(segment.id) }, get_segment: { segment_id: String(segment.id), include: ['count', 'used_by', 'members'] }, preview_audience: { segment_id: String(segment.id) },
      list_messages: { kind: 'campaign' }, get_message: { kind: 'campaign', id: String(campaign.id), include: ['actions'] },
      list_deliveries: { person: 'ada' }, get_delivery: { delivery_id: message.id, include_body: true },
      search_services: { intent: 'send mail' }, get_service_detail: { service_id: 'customer-io' }, list_content: { type: 'senders' }, search_audit_log: {},
      find_operation: { query: 'list segments' }, call_read_operation: { operation_id: 'get_segments' },
    };
    assert.deepEqual(reads.filter((name) => !of[name]), [], 'read tools that this test has no arguments for');
    const calls = reads.flatMap((name) => [['http', 'modern', name, of[name]], ['stdio', 'legacy', name, of[name]]]);
    const workers = Array.from({ length: 4 }, async () => {
      for (let next = calls.pop(); next; next = calls.pop()) assert.ok(await call(...next), `${next[2]} answers structured content`);
    });
    await Promise.all(workers);
    console.log(`inspector: ${reads.length} read tools over both transports and in both eras`);
  });

  await t.test("the protocol's own library hears why a call failed, though it checks what tools answer", async () => {
    const client = new Client({ name: 'test', version: '1' });
    await client.connect(new StreamableHTTPClientTransport(new URL(`${s.url}/mcp/x/all`), { requestInit: { headers: { Authorization: `Bearer ${secret}` } } }));
    try {
      const { tools } = await client.listTools();
      for (const { name } of tools) {
        const res = await client.callTool({ name, arguments: { no_such_field: 1 } });
        assert.equal(res.isError, true, name);
        assert.equal(res.structuredContent.code, 'invalid_input', name);
      }
      const res = await client.callTool({ name: 'get_person', arguments: { id: 'nobody' } });
      assert.equal(res.structuredContent.code, 'not_found');
      assert.match(res.content[0].text, /^not_found: /);
    } finally {
      await client.close();
    }
  });

  await t.test("README's lines connect an agent, who sees the mail", async () => {
    const [, pasted] = readFileSync(join(root, 'README.md'), 'utf8').match(/^(\{"mcpServers".*\})$/m);
    const config = join(scratch, 'pasted.json');
    writeFileSync(config, pasted.replace('http://127.0.0.1:8080', s.url).replace('agk_…', keys.agent));
    const use = async (tool, args) => {
      const res = await run(process.execPath, [inspector, '--cli', '--config', config, '--server', 'rapport', '--format', 'json', '--method', 'tools/call',
        '--tool-name', tool, '--tool-args-json', JSON.stringify(args)], env);
      assert.equal(res.code, 0, res.all);
      return JSON.parse(res.out).result.structuredContent;
    };
    await use('upsert_person', { id: '42', attributes: { email: 'ada42@example.com', first_name: 'Ada', plan: 'pro' } });
    await use('track_event', { id: '42', name: 'signed_up', data: { plan: 'pro' } });
    await s.mail('ada42@example.com', 'Welcome, Ada');
    assert.deepEqual((await use('list_deliveries', { person: '42' })).items.map((d) => d.subject), ['Welcome, Ada']);
  });

  await t.test('inspector: --load', async () => {
    for (const [way, era] of [['http', 'modern'], ['http', 'legacy'], ['stdio', 'modern']]) {
      const args = ['--tool-name', 'get_person', '--tool-args-json', '{"id":"ada"}', '--load', '--load-requests', '400', '--load-concurrency', '50'];
      const res = await inspect(way, era, '--method', 'tools/call', ...args);
      assert.equal(res.code, 0, res.all);
      const { requests, errorRate, throughput, latencyMs } = JSON.parse(res.out).result;
      assert.deepEqual({ requests, errorRate }, { requests: 400, errorRate: 0 });
      console.log(`inspector --load, ${way}, ${era}: ${Math.round(throughput)} calls/s, p99 ${Math.round(latencyMs.p99)} ms`);
    }
  });
});
