/* access: the keyboard alone, screen readers, themes, narrow windows; and the README's pictures. */

import { accessibilityFaults, check, choose, enter, equal, open, says, test } from './harness.mjs';
import { Project, seed, until } from './service.mjs';

const WIDE = { width: 1280, height: 900 };
const NARROW = { width: 390, height: 844 };

/* A project like one in the afternoon: a day behind it, stacks in every state, a queue. */
async function busyProject(...name) {
  const project = new Project(...name, '--max-stacks', '6', '--prefix', 'shop-');
  seed.stacks(project.name, 6);
  seed.day(project.name, 6);
  await project.admin('quarantineStack', { stackName: 'shop-5', reason: 'rollback of the database stack failed' });
  await project.admin('holdStack', { stackName: 'shop-3', seconds: 7200, owner: 'margaret', reason: 'a look at the failed payment' });
  const job = (number, branch, user) => ({
    branch, commit: `${number}`.repeat(8).slice(0, 40), job: { url: `https://ci.example/shop/runs/${number}`, name: `integration #${number}`, user },
  });
  const leases = [];
  for (const [number, branch, user] of [[48291, 'feature/basket-totals', 'ada'], [48292, 'main', 'grace'], [48294, 'feature/invoice-pdf', 'linus'], [48295, 'fix/orders-retry', 'ada']]) {
    leases.push(await project.request(job(number, branch, user)));
  }
  await project.call('ci', 'POST', 'setLastDeployedCommit', { stackName: leases[0].stackName, leaseId: leases[0].leaseId, lastDeployedCommit: '48291'.repeat(8) });
  await project.call('ci', 'POST', 'extendLease', { stackName: leases[1].stackName, leaseId: leases[1].leaseId, seconds: 600 });
  await project.wait(job(48296, 'refactor/payments', 'edsger'), job(48297, 'main', 'grace'), job(48298, 'spike/event-bridge', 'linus'));
  seed.age(project.name);
  return project;
}

const focused = (page) => page.evaluate(() => {
  const { id, tagName, textContent } = document.activeElement;
  return id || (tagName === 'BODY' ? tagName : textContent.trim());
});

async function tabTo(page, wanted, most = 40) {
  for (let i = 0; i < most; i++) {
    await page.keyboard.press('Tab');
    if (await focused(page) === wanted) return;
  }
  throw new Error(`${most} times Tab did not reach ${wanted}`);
}

test('everything can be done with the keyboard', async () => {
  const project = new Project('--prefix', 'shop-');
  await project.admin('addStacks', { count: 3 });
  const page = await open();
  await tabTo(page, 'key');
  await page.keyboard.type(project.keys.admin);
  await page.keyboard.press('Enter');
  await page.locator('#dashboard').waitFor();
  equal(await focused(page), 'main', 'the focus');
  await page.reload();
  await page.locator('#dashboard').waitFor();

  // Skip link, header, views, search, stacks: the order on the screen.
  const order = [];
  for (let i = 0; i < 11; i++) {
    await page.keyboard.press('Tab');
    order.push(await focused(page));
  }
  equal(order, ['Skip to content', 'forget', 'Now', 'Last 24 hours', 'How many stacks?', 'pause-begin', 'find', 'find-state', 'shop-1', 'shop-2', 'shop-3'], 'the order of focus');
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  check(outline !== 'none', 'what has the focus does not look so');

  await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Enter');
  await says(page, '#stack-title', 'shop-2');
  await tabTo(page, 'Hold…');
  await page.keyboard.press('Enter');
  equal(await focused(page), 'action-reason', 'the focus');
  await page.keyboard.type('by keyboard');
  await page.keyboard.press('Enter');
  await says(page, '#stack-facts', /State held .* Reason by keyboard/);
  check(!await page.locator('#action').isVisible(), 'the dialog stays');
  equal(await focused(page), 'Hold…', 'the focus');
  await page.keyboard.press('Escape');
  equal(await focused(page), 'shop-2', 'the focus');

  for (let i = 0; i < 7; i++) await page.keyboard.press('Shift+Tab');
  await until(async () => await focused(page) === 'Now');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.locator('#day').waitFor();
  await tabTo(page, 'pool-time');
  const before = await page.locator('#pool-time').getAttribute('aria-valuetext');
  await page.keyboard.press('ArrowLeft');
  check(await page.locator('#pool-time').getAttribute('aria-valuetext') !== before, 'the slider stays');
});

test('the skip link leads to the content', async () => {
  const page = await enter(new Project());
  await page.reload();
  await page.locator('#dashboard').waitFor();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await until(async () => await focused(page) === 'main');
  check(await page.isVisible('#pool'), 'the view is gone');
});

test('landmarks, headings and tables have their names', async () => {
  const page = await enter(await busyProject());
  for (const [role, name] of [['banner'], ['main'], ['navigation', 'Views'], ['search', 'Stacks and queue'], ['table', /^Stacks/], ['table', /^Queue/]]) {
    equal(await page.getByRole(role, name && { name }).count(), 1, `number of ${role} ${name ?? ''}`);
  }
  equal(await page.getByRole('heading', { level: 1 }).count(), 1, 'number of first headings');
  const headers = await page.getByRole('table', { name: /^Stacks/ }).getByRole('columnheader').allInnerTexts();
  equal(headers, ['Stack', 'State', 'Branch', 'Commit', 'Holder', 'Since', 'Ends in', 'Last 24 hours'], 'headers');
});

for (const colorScheme of ['light', 'dark']) {
  for (const viewport of [WIDE, NARROW]) {
    test(`axe finds nothing: ${colorScheme}, ${viewport.width} pixels wide`, async () => {
      const project = await busyProject();
      const key = await open({ colorScheme, viewport });
      equal(await accessibilityFaults(key), [], 'faults of the key form');
      const page = await enter(project, { role: 'admin', colorScheme, viewport, reducedMotion: 'reduce' });
      for (const view of ['day', 'capacity', 'pool']) {
        await choose(page, view);
        equal(await accessibilityFaults(page), [], `faults of ${view}`);
        equal(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true, `${view} fits`);
      }
      await page.click('#stacks button >> text="shop-1"');
      await page.locator('#stack-leases tr').first().waitFor();
      equal(await accessibilityFaults(page), [], 'faults of the stack');
      await page.click('[data-verb=revokeLease]');
      equal(await accessibilityFaults(page), [], 'faults of the action');
      project.end();
    });
  }
}

if (process.env.PICTURES) {
  test('pictures for the README', async () => {
    const project = await busyProject('shop');
    for (const [view, colorScheme] of [['pool', 'light'], ['day', 'dark']]) {
      const page = await enter(project, { role: 'admin', colorScheme, view, viewport: { width: 1180, height: 860 } });
      await page.mouse.move(0, 0);
      await page.screenshot({ path: `${process.env.ROOT}/tests/browser/pictures/${view}-${colorScheme}.png` });
    }
    project.end();
  });
}
