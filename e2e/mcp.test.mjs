// The agents' protocol as others see it: its conformance suite, and the inspector as an independent client.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

  const env = { MCP_CATALOG_PATH: join(scratch, 'mcp.json'), MCP_CLIENT_CONFIG_PATH: join(scratch, 'client.json'), HOME: scratch };
  const ways = {
    stdio: [rapport, 'mcp', '-e', `RAPPORT_SERVER=${s.url}`, '-e', `RAPPORT_AGENT_KEY=${keys.agent}`],
    http: ['--transport', 'http', '--server-url', `${s.url}/mcp`, '--header', `Authorization: Bearer ${keys.agent}`],
  };
  const inspect = (way, era, ...args) => run(process.execPath, [inspector, '--cli', ...ways[way], '--protocol-era', era, ...args], env);
  for (const way of Object.keys(ways)) {
    for (const era of ['modern', 'legacy']) {
      await t.test(`inspector, ${way}, ${era}: tools/list --strict`, async () => {
        const res = await inspect(way, era, '--method', 'tools/list', '--strict');
        assert.equal(res.code, 0, res.all);
        assert.equal(res.err, '', 'no findings');
      });
    }
  }
});
