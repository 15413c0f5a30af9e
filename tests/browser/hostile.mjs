/* hostile: branch names, commits, jobs and reasons are what anybody writes. */

import { check, choose, enter, equal, test } from './harness.mjs';
import { quote } from './seed.mjs';
import { Project, seed } from './service.mjs';

const TEXTS = [
  '<img src=x onerror="window.hit=1">',
  '"><script>window.hit=1</script>',
  '</td></tr></table><h1>gone</h1>',
  '\u202Eesrever\u202D\u2066',
  '${window.hit=1}{{window.hit=1}}',
  'm'.repeat(255),
  `a${'\u0301'.repeat(120)}`,
  '\u{1F4A5}'.repeat(60),
  'line\nbreak\ttab\u0007bell',
];
const URLS = ['javascript:window.hit=1', 'data:text/html,<script>window.hit=1</script>', 'JaVaScRiPt:window.hit=1',
  ' javascript:window.hit=1', '//elsewhere.example/', 'https://ci.example/"onclick="window.hit=1', 'https://', 'file:///etc/passwd'];

test('texts of others stay texts, in every view and dialog', async () => {
  const project = new Project('--max-stacks', '9');
  const leases = [];
  for (const text of TEXTS) {
    leases.push(await project.request({ branch: text, commit: text, job: { url: 'https://ci.example/', name: text, user: text } }));
  }
  await project.wait(...TEXTS.map((text) => ({ branch: text, job: { name: text, user: text } })));
  for (const lease of leases.slice(0, 4)) await project.release(lease, 'failed');
  const text = TEXTS.slice(0, 3).join('');
  await project.admin('holdStack', { stackName: 'test-9', reason: text, owner: text, revoke: true });

  for (const viewport of [{ width: 1280, height: 900 }, { width: 390, height: 844 }]) {
    const page = await enter(project, { role: 'admin', viewport });
    for (const view of ['day', 'capacity', 'pool']) {
      await choose(page, view);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      check(wide <= 0, `${view} is ${wide} pixels too wide at ${viewport.width}`);
    }
    for (const stackName of ['test-1', 'test-9']) {
      await page.click(`#stacks button >> text="${stackName}"`);
      await page.locator('#stack-leases tr').first().waitFor();
      await page.click('#stack-close');
    }
    const shown = await page.locator('#pool bdi').allTextContents();
    for (const wanted of TEXTS) check(shown.includes(wanted), `not shown as it is: ${JSON.stringify(wanted)}`);
    equal(await page.evaluate(() => [window.hit, document.querySelectorAll('img[src=x], h1').length]), [null, 2], 'what came of it');
  }
  project.end();
});

test('only http and https become links', async () => {
  const project = new Project('--max-stacks', '8');
  for (let i = 0; i < URLS.length; i++) await project.request({ job: { name: `job ${i}` } });
  seed.sql(URLS.map((url, i) => `UPDATE lease JOIN project USING (project_id) SET job_url = ${quote(url)}
    WHERE name = '${project.name}' AND lease_no = ${i + 1};`).join('\n'));
  const page = await enter(project);
  const links = await page.locator('#stacks a').evaluateAll((list) => list.map((link) => [link.href, link.rel]));
  equal(links, [['https://ci.example/%22onclick=%22window.hit=1', 'noopener noreferrer']], 'links');
  equal(await page.locator('#stacks tr').count(), URLS.length, 'number of rows');
});
