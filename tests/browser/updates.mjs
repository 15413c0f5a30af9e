/* updates: the page follows the service, gently. */

import { check, choose, enter, equal, isStatus, refresh, says, test } from './harness.mjs';
import { Project, until } from './service.mjs';

const asked = (page, path) => page.asked.filter((url) => new URL(url).pathname === `/${path}`).length;

async function setHidden(page, hidden) {
  await page.evaluate((value) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => value });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
}

test('a grant and a release show by themselves', async () => {
  const project = new Project();
  const page = await enter(project);
  const lease = await project.request({ branch: 'new' });
  await says(page, '#now-leased', '1');
  await says(page, '#stacks', /test-1 leased new/);
  await project.release(lease, 'success');
  await says(page, '#now-free', '1');
  await says(page, '#stacks', /test-1 free new/);
});

test('what ended meanwhile reaches the charts', async () => {
  const project = new Project();
  const page = await enter(project, { view: 'day' });
  await page.clock.install();
  await project.release(await project.request({ branch: 'new' }), 'success');
  await page.clock.fastForward(40000);
  await says(page, '#ends-total', '1 request');
  await page.clock.fastForward(40000);
  await until(() => asked(page, 'history') === 2);
});

test('one call in five seconds, and nothing else while nothing ends', async () => {
  const page = await enter(new Project());
  await page.clock.install();
  await refresh(page);
  const before = [asked(page, 'status'), page.asked.length];
  for (let i = 1; i <= 6; i++) {
    const answer = page.waitForResponse((response) => isStatus(response));
    await page.clock.runFor(5000);
    await (await answer).finished();
  }
  const calls = asked(page, 'status') - before[0];
  check(calls >= 5 && calls <= 7, `${calls} calls in 30 s`);
  equal(page.asked.length - before[1], calls, 'number of all calls');
});

test('a hidden tab asks nothing, and asks at once when it is seen again', async () => {
  const project = new Project();
  const page = await enter(project);
  await refresh(page);
  await page.clock.install();
  await setHidden(page, true);
  await refresh(page);
  const before = page.asked.length;
  await page.clock.runFor(600000);
  equal(page.asked.length, before, 'number of calls');
  await project.request({ branch: 'meanwhile' });
  await setHidden(page, false);
  await page.clock.runFor(1);
  await says(page, '#now-leased', '1');
});

test('a screen reader is told what happened, not every change', async () => {
  const project = new Project();
  const page = await enter(project);
  await page.evaluate(() => {
    window.told = [];
    for (const place of document.querySelectorAll('[role=status], [role=alert], [aria-live]')) {
      new MutationObserver(() => window.told.push(place.id)).observe(place, { childList: true, characterData: true, subtree: true });
    }
  });
  const lease = await project.request({ branch: 'new' });
  await refresh(page);
  await says(page, '#now-leased', '1');
  await project.release(lease, 'success');
  await refresh(page);
  await says(page, '#now-free', '1');
  equal(await page.evaluate(() => window.told), [], 'what was told');
});

test('a view can be bookmarked', async () => {
  const project = new Project();
  const page = await enter(project, { view: 'capacity' });
  await page.reload();
  await page.locator('#capacity').waitFor();
  await choose(page, 'day');
  await page.goBack();
  await page.locator('#capacity').waitFor();
  equal(await page.locator('nav [aria-current]').innerText(), 'How many stacks?', 'the current view');
});
