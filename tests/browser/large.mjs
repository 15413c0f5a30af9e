/* large: 500 stacks and 1,000 waiting requests; 10,000 stacks. */

import { cells, check, choose, enter, equal, isStatus, refresh, says, test } from './harness.mjs';
import { Project, seed, until } from './service.mjs';

/* Seconds of work of the page's main thread that a step may take: of the processor, so that it doesn't
 * matter what else the machine does. */
const LONGEST = 0.7;

/* Does a step, and tells what it cost. */
async function cost(page, name, step) {
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  const spent = async () => (await session.send('Performance.getMetrics')).metrics.find((metric) => metric.name === 'TaskDuration').value;
  const before = await spent();
  await step();
  // Until what the step changed is on the screen.
  await page.evaluate(() => new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(resolve)); }));
  const seconds = await spent() - before;
  await session.detach();
  console.log(`# ${name}: ${Math.round(seconds * 1000)} ms of the processor`);
  check(seconds < LONGEST, `${name} took ${seconds} s of the processor`);
}

test('500 stacks, 1,000 waiting requests and 10,000 jobs a day stay smooth', async () => {
  const project = new Project('--max-stacks', '500');
  seed.stacks(project.name, 500);
  const jobs = seed.day(project.name, 500, 45);
  seed.leases(project.name, 480);
  seed.waiters(project.name, 1000);
  const page = await enter(project);
  await says(page, '#stacks-count', '500');
  await says(page, '#queue-count', '1,000');
  await says(page, '#now-leased', '480');
  equal(await page.locator('#stacks tr').count(), 100, 'number of rows');

  const all = async (name, number) => {
    await page.click(`#${name}-all`);
    await until(async () => await page.locator(`#${name} tr`).count() === number);
  };
  await cost(page, 'all stacks', () => all('stacks', 500));
  await cost(page, 'all waiting', () => all('queue', 1000));
  equal([await page.locator('#stacks tr').count(), await page.locator('#queue tr').count()], [500, 1000], 'numbers of rows');
  await cost(page, 'an update', () => refresh(page));
  await cost(page, 'scrolling', async () => {
    for (let i = 0; i < 5; i++) await page.mouse.wheel(0, 3000);
  });
  await cost(page, 'a search', () => page.fill('#find', 'test-49'));
  await says(page, '#stacks-count', '11 of 500');
  await cost(page, 'its end', () => page.fill('#find', ''));
  await says(page, '#stacks-count', '500');
  await cost(page, 'the last 24 hours', () => choose(page, 'day'));
  await says(page, '#ends-total', `${jobs.toLocaleString('en')} requests`);
  await cost(page, 'back', () => choose(page, 'pool'));
});

test('of 10,000 stacks the page asks for what it shows; the service searches', async () => {
  const project = new Project('--max-stacks', '10000');
  seed.stacks(project.name, 10000);
  seed.leases(project.name, 300);
  const page = await enter(project);
  const sizes = [];
  page.on('response', async (response) => isStatus(response) && sizes.push((await response.body()).length));
  await says(page, '#stacks-count', '10,000');
  await says(page, '#now-leased', '300');
  await says(page, '#stacks-all', 'Show all 10,000');
  await refresh(page);
  await page.fill('#find', 'test-987');
  await says(page, '#stacks-count', '11 of 10,000');
  equal((await cells(page, '#stacks')).map((row) => row[0]).sort(), ['test-987', ...Array.from({ length: 10 }, (_, i) => `test-987${i}`)], 'what is found');
  await page.locator('#stacks button', { hasText: 'test-9875' }).click();
  await says(page, '#stack-title', 'test-9875');
  // Its dialog knows it though the page no longer shows it.
  await page.evaluate(() => { document.getElementById('find').value = ''; document.getElementById('find').dispatchEvent(new Event('input')); });
  await says(page, '#stacks-count', '10,000');
  await refresh(page);
  check(!(await page.locator('#stack-gone').isVisible()), 'the stack is gone');
  await page.click('#stack-close');
  await page.selectOption('#find-state', 'leased');
  await says(page, '#stacks-count', '300 of 10,000');
  check(sizes.length > 3 && Math.max(...sizes) < 200000, `answers of ${sizes} bytes`);
  await page.selectOption('#find-state', '');
  await page.click('#stacks-all');
  await says(page, '#stacks-count', '10,000');
  await until(async () => await page.locator('#stacks tr').count() === 10000, 60);
});
