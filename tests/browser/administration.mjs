/* administration: what an admin key may do. */

import { check, enter, equal, refresh, says, test } from './harness.mjs';
import { Project } from './service.mjs';

async function openStack(page, stackName) {
  await page.click(`#stacks button >> text="${stackName}"`);
  await page.locator('#stack').waitFor();
}

async function act(page, verb, reason) {
  await page.click(`[data-verb=${verb}]`);
  await page.fill('#action-reason', reason);
  await page.click('#action-do');
}

async function stateOf(project, stackName) {
  const { stacks } = await project.get('status');
  return stacks.find((stack) => stack.stackName === stackName);
}

async function lastAction(project) {
  const [{ action, stackName, reason, keyName }] = (await project.get('actions')).actions;
  return { action, stackName, reason, keyName };
}

test('viewer and ci keys see no administration', async () => {
  const project = new Project();
  await project.admin('addStacks', { count: 1 });
  for (const role of ['viewer', 'ci']) {
    const page = await enter(project, { role });
    await openStack(page, 'test-1');
    check(!await page.isVisible('#stack-admin'), `${role} sees it`);
  }
});

test('hold a free stack with a reason and a time, and reinstate it', async () => {
  const project = new Project();
  await project.admin('addStacks', { count: 1 });
  const page = await enter(project, { role: 'admin' });
  await openStack(page, 'test-1');
  await page.click('[data-verb=holdStack]');
  await says(page, '#action-title', 'Hold test-1');
  check(!await page.isVisible('#action-revoke'), 'a free stack has no lease to revoke');
  await page.click('#action-do');
  check(await page.locator('#action').isVisible(), 'it went without a reason');
  await page.fill('#action-reason', 'a failed payment');
  await page.selectOption('#action-seconds', '28800');
  await page.click('#action-do');
  await says(page, '#said', 'Stack test-1 held');
  await says(page, '#stack-facts', /State held .* Reason a failed payment/);
  await says(page, '#stack-actions', /holdStack .* a failed payment/);
  const { state, hold } = await stateOf(project, 'test-1');
  equal([state, hold.reason], ['held', 'a failed payment'], 'the stack');
  const hours = (Date.parse(hold.until) - Date.now()) / 3600000;
  check(hours > 7.9 && hours <= 8.01, `held for ${hours} h`);
  equal(await lastAction(project), { action: 'holdStack', stackName: 'test-1', reason: 'a failed payment', keyName: `${project.name}-admin` }, 'the action');

  await act(page, 'reinstateStack', 'seen enough');
  await says(page, '#stack-facts', /State free/);
  equal((await stateOf(project, 'test-1')).state, 'available', 'its state');
  equal((await lastAction(project)).reason, 'seen enough', 'the reason');
});

test('pause the project with a reason, and resume it', async () => {
  const project = new Project();
  await project.admin('addStacks', { count: 1 });
  const page = await enter(project, { role: 'admin' });
  check(!await page.isVisible('#pause'), 'it is paused before');
  await page.click('#pause-begin');
  await says(page, '#action-title', `Pause ${project.name}`);
  await page.fill('#action-reason', 'the account is cleaned');
  await page.click('#action-do');
  await says(page, '#pause-text', /^Paused since .* by .*-admin: the account is cleaned\. Nobody gets a stack\.$/);
  check(!await page.isVisible('#pause-begin'), 'it can be paused twice');
  equal((await project.get('status')).project.pause.reason, 'the account is cleaned', 'the reason');
  equal((await lastAction(project)).action, 'updateProject', 'the action');

  const viewer = await enter(project, { role: 'viewer' });
  check(await viewer.isVisible('#pause'), 'a viewer sees no pause');
  check(!await viewer.isVisible('#pause-end'), 'a viewer may resume');

  await page.click('#pause-end');
  await page.fill('#action-reason', 'done');
  await page.click('#action-do');
  await page.locator('#pause').waitFor({ state: 'hidden' });
  equal((await project.get('status')).project.pause, undefined, 'the pause');
});

test('quarantine a leased stack: when its job gives it back, or at once', async () => {
  const project = new Project();
  const lease = await project.request({ branch: 'a' });
  await project.request({ branch: 'b' });
  const page = await enter(project, { role: 'admin' });
  await openStack(page, 'test-1');
  await act(page, 'quarantineStack', 'broken');
  await says(page, '#stack-facts', /State leased then quarantined/);
  await project.release(lease, 'failed');
  await refresh(page);
  await says(page, '#stack-facts', /State quarantined/);
  await page.click('#stack-close');

  await openStack(page, 'test-2');
  await page.click('[data-verb=quarantineStack]');
  await page.fill('#action-reason', 'broken, too');
  await page.check('#action-revoke');
  await page.click('#action-do');
  await says(page, '#stack-facts', /State quarantined/);
  await says(page, '#stack-leases', /revoked/);
  equal((await stateOf(project, 'test-2')).state, 'quarantined', 'its state');
});

test('revoke a lease: the one that was seen, not one that came since', async () => {
  const project = new Project('--max-stacks', '1');
  const lease = await project.request({ branch: 'old' });
  const page = await enter(project, { role: 'admin' });
  await openStack(page, 'test-1');
  await page.click('[data-verb=revokeLease]');
  await page.fill('#action-reason', 'hangs');
  await project.release(lease);
  await project.request({ branch: 'new' });
  await page.click('#action-do');
  await says(page, '#action-error', /.+/);
  equal((await stateOf(project, 'test-1')).lease.branch, 'new', 'the lease');
  await page.click('#action-cancel');
  await refresh(page);
  await says(page, '#stack-facts', /Branch new/);
  await act(page, 'revokeLease', 'hangs, too');
  await says(page, '#stack-facts', /State free/);
  equal(await lastAction(project), { action: 'revokeLease', stackName: 'test-1', reason: 'hangs, too', keyName: `${project.name}-admin` }, 'the action');
});

test('a stack that is deleted meanwhile', async () => {
  const project = new Project();
  await project.admin('addStacks', { count: 1 });
  const page = await enter(project, { role: 'admin' });
  await openStack(page, 'test-1');
  await project.admin('deleteStack', { stackName: 'test-1' });
  await refresh(page);
  await says(page, '#stack-gone', 'This stack is deleted.');
  check(!await page.isVisible('#stack-admin'), 'it can still be administered');
});
