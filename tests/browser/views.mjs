/* views: what each view shows is what the service says. */

import { cells, check, choose, enter, equal, open, says, test, useKey } from './harness.mjs';
import { Project, seed, url } from './service.mjs';

const JOB = { url: 'https://ci.example/runs/7', name: 'integration #7', user: 'ada' };

test('the page asks for a key, and nothing before it has one', async () => {
  const page = await open();
  await says(page, 'h1:visible', 'Which stack is whose?');
  check(!await page.isVisible('#dashboard'), 'the dashboard is shown without a key');
  const paths = page.asked.map((asked) => new URL(asked).pathname);
  check(paths.every((path) => path === '/' || path.startsWith('/dashboard/')), `it asked for ${paths}`);
  check(page.asked.every((asked) => asked.startsWith(url())), `it asked others: ${page.asked}`);
});

test('the content policy allows nothing but own files', async () => {
  const { headers } = await fetch(`${url()}/`);
  const policy = headers.get('content-security-policy');
  check(policy.includes("default-src 'self';") && !/unsafe|\*|data:|http/.test(policy), policy);
  const page = await open();
  const inline = await page.locator('style, [style], script:not([src]), [onclick], [onload]').count();
  equal(inline, 0, 'number of inline scripts and styles');
});

test('a key is kept for this tab only, and can be forgotten', async () => {
  const project = new Project();
  const page = await enter(project);
  await says(page, '#project', project.name);
  await says(page, '#key-name', `${project.name}-viewer (viewer)`);
  const kept = await page.evaluate(() => [Object.values(sessionStorage), Object.values(localStorage), document.cookie]);
  equal(kept, [[project.keys.viewer], [], ''], 'what is stored');
  check(page.asked.every((asked) => !asked.includes(project.keys.viewer)), 'the key is in an address');
  await page.reload();
  await says(page, '#project', project.name);
  await page.click('#forget');
  await page.locator('#key').waitFor();
  equal(await page.evaluate(() => sessionStorage.length), 0, 'what is stored');
  equal(await page.inputValue('#key'), '', 'the field');
  await page.reload();
  check(!await page.isVisible('#dashboard'), 'the dashboard is shown without a key');
});

test('a project without stacks and history says so in every view', async () => {
  const page = await enter(new Project('--prefix', 'shop-'));
  await says(page, '#stacks-none', 'No stack yet. The first requestStack creates shop-1.');
  await says(page, '#queue-none', 'Nobody waits.');
  await choose(page, 'day');
  await says(page, '#day-empty', 'Nothing happened in the last 24 hours.');
  await says(page, '#expiries-none', /^None/);
  await says(page, '#branches-none', /^No job/);
  await says(page, '#units-none', /^No job/);
  await choose(page, 'capacity');
  await says(page, '#capacity-empty', /^There is no answer yet/);
});

test('stacks show state, branch, commit, holder, since and end; the queue its order', async () => {
  const project = new Project('--max-stacks', '5', '--prefix', 'shop-');
  const lease = await project.request({ branch: 'fix/one', commit: 'a'.repeat(40), job: JOB, leaseSeconds: 7100 });
  await project.call('ci', 'POST', 'setLastDeployedCommit', { ...lease, lastDeployedCommit: 'a'.repeat(40) });
  await project.admin('addStacks', { count: 4 });
  await project.admin('holdStack', { stackName: 'shop-2', seconds: 3000, owner: 'eva', reason: 'a look at the logs' });
  await project.admin('quarantineStack', { stackName: 'shop-3', reason: 'rollback failed' });
  await project.request({ branch: 'plain' });
  await project.admin('quarantineStack', { stackName: 'shop-4' });
  await project.request({});
  await project.wait({ branch: 'late', job: JOB }, { branch: 'urgent', priority: 9 });
  const page = await enter(project);

  const rows = await cells(page, '#stacks');
  equal(rows.map((row) => row[0]), ['shop-1', 'shop-2', 'shop-3', 'shop-4', 'shop-5'], 'the order');
  equal(rows[0].slice(1, 5), ['leased', 'fix/one', 'aaaaaaaaaa', 'integration #7 ada'], 'shop-1');
  check(/^\d\d:\d\d [\d.]+ s$/.test(rows[0][5]), `since ${rows[0][5]}`);
  equal(rows[0][6], '1 h 58 min', 'its end');
  check(/^1 lease, 0 % of the time$/.test(rows[0][7]), rows[0][7]);
  equal(rows[1].slice(1, 5), ['held', '–', '–', 'eva a look at the logs'], 'shop-2');
  check(/^(49|50) min$/.test(rows[1][6]), `held for ${rows[1][6]}`);
  equal(rows[2].slice(1, 5), ['quarantined', '–', '–', `${project.name}-admin rollback failed`], 'shop-3');
  check(rows.some((row) => row[1] === 'leased then quarantined'), JSON.stringify(rows));
  const link = page.locator('#stacks a');
  equal(await link.getAttribute('href'), JOB.url, 'the link');
  equal(await link.getAttribute('rel'), 'noopener noreferrer', 'its rel');

  const queue = await cells(page, '#queue');
  equal(queue.map((row) => row.slice(0, 3)), [['1', 'urgent', `${project.name}-ci`], ['2', 'late', 'integration #7 ada']], 'the queue');
  equal(queue[0][5], 'priority 9', 'its note');
  check(/^[\d.]+ (s|min.*)$/.test(queue[0][3]), `it waited ${queue[0][3]}`);
  const figures = await page.locator('.tiles').first().locator('dd:not(.note)').allInnerTexts();
  equal(figures, ['0', '3', '2', '2', '0'], 'free, leased, waiting, set aside, expired');
  project.end();
});

test('stacks and queue can be searched', async () => {
  const project = new Project('--max-stacks', '3');
  for (const branch of ['red', 'green', 'blue']) await project.request({ branch });
  await project.wait({ branch: 'green' }, { branch: 'grey' });
  const page = await enter(project);
  await page.fill('#find', 'GREEN');
  await says(page, '#stacks-count', '1 of 3');
  await says(page, '#queue-count', '1 of 2');
  await page.fill('#find', '');
  await page.selectOption('#find-state', 'available');
  await says(page, '#stacks-none', 'No stack matches.');
  project.end();
});

test('the last 24 hours: chart, waits, holds, ends, expiries and branches', async () => {
  const project = new Project();
  seed.stacks(project.name, 6);
  const jobs = seed.day(project.name, 6);
  seed.times(project.name, { quick: [4.5, 200], slow: [300, 2], often: [90, 10] });
  const page = await enter(project, { view: 'day' });
  const { last24Hours: day } = await project.get('status');
  await says(page, '#ends-total', `${jobs} requests`);
  const ends = await cells(page, '#ends');
  equal(ends.map((row) => Number(row[1])), ['released', 'expired', 'revoked', 'timedOut', 'abandoned', 'cancelled', 'superseded']
    .map((state) => day[state]), 'how requests ended');
  equal((await cells(page, '#expiries')).length, Math.min(8, day.expired), 'number of expiries');

  const dearest = seed.sql(`SELECT branch, COUNT(*), SUM(changed_units) FROM history JOIN project USING (project_id)
    WHERE name = '${project.name}' AND granted_at IS NOT NULL GROUP BY branch
    ORDER BY SUM(TIMESTAMPDIFF(MICROSECOND, granted_at, deployed_at)) DESC LIMIT 10`);
  equal((await cells(page, '#branches')).map((row) => row.slice(0, 3).join('\t')), dearest.trim().split('\n'), 'branches');
  equal((await cells(page, '#units')).map((row) => row.slice(0, 3)),
    [['often', '10', '1 min 30 s'], ['quick', '200', '4.5 s'], ['slow', '2', '5 min']], 'units');

  // The slider reads the chart; the figures of a moment are those of the rows of that moment.
  await page.locator('#pool-time').focus();
  await page.keyboard.press('Home');
  for (let i = 0; i < 5; i++) await page.keyboard.press('PageUp');
  const text = await page.locator('#pool-time').getAttribute('aria-valuetext');
  const [, waiting, leased, free] = /waiting (\S+), leased (\S+), free (\S+), aside 0$/.exec(text) ?? [];
  check(Number(waiting) >= 0 && Math.abs(Number(leased) + Number(free) - 6) < 0.11, text);
  check(await page.locator('#pool-chart path').count() >= 4, 'the chart has no areas');
  check(await page.locator('#wait-chart rect').count() === 48, 'the waits have no bars');
});

test('how many stacks: the answer is that of /capacity', async () => {
  const project = new Project();
  seed.stacks(project.name, 5);
  seed.day(project.name, 5);
  const page = await enter(project, { view: 'capacity' });
  const capacity = await project.get('capacity');
  await says(page, '#capacity-answer', new RegExp(`^${capacity.recommended} stacks`));
  const rows = await cells(page, '#capacity-rows');
  equal(rows.map((row) => Number.parseInt(row[0], 10)), capacity.stacks.map((entry) => entry.stacks), 'numbers of stacks');
  equal(await page.locator('#capacity-chart rect').count(), capacity.stacks.length, 'number of bars');
  equal(await page.locator('#assumptions li').allInnerTexts(), capacity.assumptions, 'assumptions');
});

test('a stack tells its leases and what was done to it', async () => {
  const project = new Project();
  seed.stacks(project.name, 3);
  seed.day(project.name, 3);
  await project.admin('holdStack', { stackName: 'test-2', reason: 'for a look' });
  const page = await enter(project);
  await page.click('#stacks button >> text=test-2');
  await says(page, '#stack-title', 'test-2');
  await says(page, '#stack-actions', /holdStack .*-admin for a look$/);
  const { requests } = await project.get('history?stackName=test-2&limit=20');
  equal((await cells(page, '#stack-leases')).map((row) => row[3].split(' ').slice(0, 2).join(' ')),
    requests.map((request) => request.job.name), 'its leases');
  await says(page, '#stack-facts', /Set aside by .*-admin Reason for a look/);
});

test('series: steps, peaks and strips of known leases', async () => {
  const page = await open();
  const found = await page.evaluate(async () => {
    const { day, hours, branches, strips, percentile } = await import('/dashboard/series.js');
    const now = Date.UTC(2026, 0, 2, 12);
    const ago = (minutes) => now - minutes * 60000;
    const iso = (minutes) => new Date(ago(minutes)).toISOString();
    const job = (asked, granted, ended, rest) => ({
      asked: ago(asked), granted: granted === null ? null : ago(granted), ended: ago(ended), deployed: null,
      stackName: 'test-1', state: 'released', purpose: 'test', branch: 'a', changedUnits: null,
      waitedSeconds: (asked - (granted ?? ended)) * 60, heldSeconds: granted === null ? null : (granted - ended) * 60, ...rest,
    });
    const status = {
      stacks: [
        { stackName: 'test-1', state: 'available', created: iso(9999), modified: iso(5) },
        { stackName: 'test-2', state: 'held', created: iso(60), modified: iso(10) },
      ],
      queue: [{ askedAt: iso(3) }],
    };
    const ended = [
      job(30, 20, 10, { changedUnits: 3, deployed: ago(18) }),
      job(25, null, 15, { state: 'timedOut' }),
      job(10, 10, 7.5, { branch: 'b', state: 'expired', changedUnits: 1 }),
    ];
    const series = day(status, ended, now);
    const last = (name) => [...series[name].slice(-8)];
    return {
      leased: last('leased'), free: last('free'), aside: last('aside'), waiting: last('waiting'),
      branches: branches(ended), strip: strips(status, ended, now).get('test-1'),
      hour: hours(ended, now).at(-2), ranks: [percentile([], 0.5), percentile([1, 2, 3, 4], 0.5), percentile([1, 2, 3, 4], 0.95)],
    };
  });
  equal(found.leased, [0, 0, 0, 0, 1, 1, 0.5, 0], 'leased');
  equal(found.free, [2, 2, 2, 2, 1, 1, 0.5, 1], 'free');
  equal(found.aside, [0, 0, 0, 0, 0, 0, 1, 1], 'aside');
  equal(found.waiting, [0, 0, 1, 2, 1, 0, 0, 1], 'waiting');
  equal(found.branches, [{ branch: 'a', leases: 1, units: 3, seconds: 120 }, { branch: 'b', leases: 1, units: 1, seconds: null }], 'branches');
  equal(found.strip, { test: 'M1420 0h10v10h-10z', refresh: '', lost: 'M1430 0h2.5v10h-2.5z', aside: '', leases: 2, losses: 1, busy: 12.5 / 1440 }, 'strip');
  equal(found.hour.wait, { p50: 0, p95: 600 }, 'waits of the hour');
  equal(found.hour.hold, { p50: 150, p95: 600 }, 'holds of the hour');
  equal(found.ranks, [null, 2, 4], 'ranks');
});
