/* trouble: wrong keys, and a service that is down. */

import { check, enter, equal, isStatus, open, refresh, says, test, useKey } from './harness.mjs';
import { Project, ctl, local, signal, until } from './service.mjs';

test('what can not be a key is not sent', async () => {
  const page = await open();
  for (const key of ['x', 'A'.repeat(64), `${'a'.repeat(63)}é`]) {
    await useKey(page, key);
    await says(page, '#key-error', /^A key has 64 characters/);
  }
  check(!page.asked.some((asked) => asked.includes('/status')), 'it asked');
});

test('a wrong key is refused, and a right one helps', async () => {
  const project = new Project();
  const page = await open();
  await useKey(page, 'a'.repeat(64));
  await says(page, '#key-error', /^The service does not know this key/);
  equal(await page.evaluate(() => sessionStorage.length), 0, 'what is stored');
  await useKey(page, project.keys.viewer);
  await says(page, '#project', project.name);
});

test('a key that is revoked meanwhile ends the view', async () => {
  const project = new Project();
  const page = await enter(project, { role: 'viewer' });
  ctl('key', 'revoke', `${project.name}-viewer`);
  await says(page, '#key-error', /or it was revoked/);
  check(!await page.isVisible('#dashboard'), 'the dashboard is still shown');
});

test('while the program is down the page says so, keeps what it has, and comes back', async () => {
  const project = new Project();
  await project.request({ branch: 'here' });
  const page = await enter(project);
  local('kill', 'program');
  try {
    await says(page, '#trouble-text', /not running or did not answer.*What you see dates from \d\d:\d\d/);
    await says(page, '#stacks', /test-1 leased here/);
    check(await page.locator('body.stale').count() === 1, 'it does not look old');
    await says(page, '#updated', /^\d+ s ago$/);
  } finally {
    local('restart', 'program');
  }
  await page.click('#again');
  await page.locator('#trouble').waitFor({ state: 'hidden' });
  await says(page, '#said', 'Up to date again.');
  await says(page, '#updated', 'now');
});

test('a database that is down is told, too', async () => {
  const page = await enter(new Project());
  local('kill', 'database');
  try {
    await refresh(page);
    await says(page, '#trouble-text', /^The database is not available/);
  } finally {
    local('restart', 'database');
  }
  await until(async () => {
    await page.click('#again', { timeout: 1000 }).catch(() => {});
    return !await page.isVisible('#trouble');
  });
});

test('an unreachable service is asked at growing intervals', async () => {
  const page = await enter(new Project());
  await refresh(page);
  await page.clock.install();
  local('kill', 'nginx');
  try {
    await page.evaluate(() => { window.dispatchEvent(new Event('online')); });
    await says(page, '#trouble-text', /^The service cannot be reached/);
    const before = page.asked.length;
    for (let i = 0; i < 120; i++) await page.clock.runFor(5000);
    const calls = page.asked.length - before;
    // 5, 10, 20, 40, then 60 seconds, give or take a fifth.
    check(calls >= 9 && calls <= 18, `${calls} calls in ten minutes`);
  } finally {
    local('restart', 'nginx');
  }
  await page.click('#again');
  await page.locator('#trouble').waitFor({ state: 'hidden' });
});

test('an answer that never comes is given up', async () => {
  const page = await enter(new Project());
  await refresh(page);
  await page.clock.install();
  signal('program', 'SIGSTOP');
  try {
    const sent = page.waitForRequest((request) => isStatus(request));
    await page.evaluate(() => { window.dispatchEvent(new Event('online')); });
    await sent;
    await page.clock.runFor(21000);
    await says(page, '#trouble-text', /^No answer within 20 seconds/);
  } finally {
    signal('program', 'SIGCONT');
  }
  await page.click('#again');
  await page.locator('#trouble').waitFor({ state: 'hidden' });
});

test('a page that is opened while the service is down tries again by itself', async () => {
  const project = new Project();
  const page = await enter(project);
  local('kill', 'program');
  try {
    await page.reload();
    await says(page, '#key-error', /Trying again in/);
  } finally {
    local('restart', 'program');
  }
  await says(page, '#project', project.name);
});
