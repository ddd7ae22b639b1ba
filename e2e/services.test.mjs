// The service guide as a person reads it: found, read and copied with the keyboard alone, and readable without JavaScript.
import test from 'node:test';
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { start } from './harness.mjs';

let s, browser;
test.before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM, timeout: 120_000,
    args: ['--headless', '--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  s = await start();
});
test.after(async () => {
  await browser?.close();
  assert.equal(await s.stop(), 0, 'a clean stop');
});

test('a guide is found and its example copied with the keyboard', async () => {
  const context = await browser.newContext({ permissions: ['clipboard-read', 'clipboard-write'] });
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (e) => errors.push(String(e)));
  page.on('console', (m) => m.type() === 'error' && errors.push(m.text()));
  await page.goto(`${s.url}/services`);
  await page.getByLabel('Task or name').focus();
  await page.keyboard.type('Customer.io');
  await page.keyboard.press('Enter');
  await page.waitForURL(/q=Customer/);
  await page.locator('.services a').first().focus();
  await page.keyboard.press('Enter');
  await page.waitForURL(/services\/customer-io$/);
  const tabs = page.getByRole('tab');
  assert.deepEqual(await tabs.allTextContents(), ['cURL', 'Go', 'Node', 'Python', 'MCP']);
  await tabs.first().focus();
  for (const key of ['End', 'ArrowRight', 'ArrowLeft', 'ArrowLeft']) await page.keyboard.press(key);
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Python');
  assert.equal(await page.getByRole('tabpanel').count(), 1, 'one example is shown');
  assert.match(await page.getByRole('tabpanel').textContent(), /from customerio import/);
  await page.getByRole('tabpanel').getByRole('button', { name: 'Copy' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Copied' }).waitFor();
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^from customerio import/);
  assert.deepEqual(errors, []);
  await context.close();
});

test('without JavaScript every example is there, and nothing is wider than a phone', async () => {
  const context = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 390, height: 800 } });
  const page = await context.newPage();
  for (const path of ['/services', '/services?q=email', '/services/customer-io', '/services/rapport']) {
    await page.goto(s.url + path);
    for (const domain of await page.locator('.domain summary').all()) await domain.click();
    const [width, scrolled] = await page.evaluate(() => [
      document.documentElement.scrollWidth, [...document.querySelectorAll('.scroll')].filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.ariaLabel),
    ]);
    assert.ok(width <= 390, `${path} is ${width} wide`);
    assert.deepEqual(scrolled, [], `${path}: tables with cells out of sight`);
  }
  assert.equal(await page.locator('[data-tab]').count(), 5);
  for (const example of await page.locator('[data-tab]').all()) assert.ok(await example.isVisible());
  await context.close();
});
