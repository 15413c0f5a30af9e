/* large: 500 stacks and 1,000 waiting requests. */

import { check, choose, enter, equal, refresh, says, test } from './harness.mjs';
import { Project, seed } from './service.mjs';

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

  await cost(page, 'all stacks', () => page.click('#stacks-all'));
  await cost(page, 'all waiting', () => page.click('#queue-all'));
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
