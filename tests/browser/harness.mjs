/* harness: tests in TAP, and pages of the dashboard. */

import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { until, url } from './service.mjs';

const require = createRequire(`${process.env.TOOLS}/`);
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const FLAGS = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
const tests = [];
let browser = null;
let pages = [];

export function test(name, body) {
  tests.push({ name, body });
}

export async function runTests(part) {
  const wanted = tests.filter(({ name }) => name.includes(part));
  console.log(`1..${wanted.length}`);
  let failed = 0;
  // Chromium's sandbox doesn't work for root.
  const root = process.getuid() === 0 ? ['--no-sandbox'] : [];
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: [...FLAGS, ...root] });
  for (const [i, { name, body }] of wanted.entries()) {
    try {
      await body();
      for (const page of pages) check(page.faults.length === 0, `the page complained: ${page.faults.join('; ')}`);
      console.log(`ok ${i + 1} - ${name}`);
    } catch (error) {
      failed++;
      console.log(`not ok ${i + 1} - ${name}`);
      console.log(String(error.stack ?? error).replaceAll(/^/gm, '# '));
      await photograph(i + 1);
    }
    for (const page of pages) await page.context().close();
    pages = [];
  }
  await browser.close();
  return failed;
}

async function photograph(number) {
  for (const [i, page] of pages.entries()) {
    const path = `${process.env.LOGS}/browser-${number}-${i + 1}.png`;
    await page.screenshot({ path }).then(() => console.log(`# see ${path}`), () => {});
  }
}

export function check(condition, message) {
  if (!condition) throw new Error(message);
}

export function equal(found, wanted, what = 'it') {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${what} is ${a}, not ${b}`);
}

/* A page at the key form. `faults` collects what a browser complains about: errors of scripts, of the
 * content policy, and of files that can't be had; `asked` the calls that it made. */
export async function open(options = {}) {
  const context = await browser.newContext({
    ignoreHTTPSErrors: true, locale: 'en-GB', timezoneId: 'UTC', viewport: { width: 1280, height: 900 }, ...options,
  });
  context.setDefaultTimeout(20000);
  const page = await context.newPage();
  page.faults = [];
  page.asked = [];
  page.on('pageerror', (error) => page.faults.push(error.message));
  page.on('console', (message) => {
    // The browser itself says so of each answer with an error status.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) page.faults.push(message.text());
  });
  page.on('request', (request) => page.asked.push(request.url()));
  pages.push(page);
  await page.goto(`${url()}/`);
  return page;
}

/* A page that shows a project, in one of the views. */
export async function enter(project, { role = 'viewer', view = 'pool', ...options } = {}) {
  const page = await open(options);
  await useKey(page, project.keys[role]);
  await page.locator('#dashboard').waitFor();
  await choose(page, view);
  return page;
}

export async function useKey(page, key) {
  await page.fill('#key', key);
  await page.click('#key-form button');
}

export async function choose(page, view) {
  await page.click(`nav a[href="#${view}"]`);
  await page.locator(`#${view}`).waitFor();
}

/* Of a request or its response. */
export function isStatus(call) {
  return new URL(call.url()).pathname.endsWith('/status');
}

/* Makes the page ask now instead of in some seconds, as it does when the network returns. */
export async function refresh(page) {
  const answer = page.waitForResponse((response) => isStatus(response));
  await page.evaluate(() => { window.dispatchEvent(new Event('online')); });
  await (await answer).finished();
}

/* Waits until an element says this; tells what it said if it doesn't. */
export async function says(page, selector, wanted) {
  let text = '';
  const matches = (found) => (wanted instanceof RegExp ? wanted.test(found) : found === wanted);
  await until(async () => {
    text = (await page.locator(selector).first().innerText({ timeout: 20000 })).replaceAll(/\s+/g, ' ').trim();
    return matches(text);
  }, 20).catch(() => { throw new Error(`${selector} says "${text}", not ${wanted}`); });
}

/* Texts of the cells of each row; the time line's is its label. */
export function cells(page, selector) {
  return page.locator(`${selector} tr`).evaluateAll((rows) => rows.map((row) => [...row.children].map((cell) => {
    const picture = cell.querySelector('[aria-label]');
    return (picture ? picture.getAttribute('aria-label') : cell.innerText).replaceAll(/\s+/g, ' ').trim();
  })));
}

/* What axe-core finds wrong, as texts. */
export async function accessibilityFaults(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
  }));
  return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(' | ')}`);
}
