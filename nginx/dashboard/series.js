/* series: what the ended requests and the present status say about the last 24 hours. Pure. */

import { DAY } from './format.js';

export const STEPS = 288;
const STEP = DAY / STEPS;

/* Nearest rank, as the service has it. */
export function percentile(values, part) {
  if (values.length === 0) return null;
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)];
}

/* Leases that ended and those that run: {stackName, from, to, kind}. */
export function leases(status, ended, now) {
  const list = ended.filter((request) => request.granted !== null).map((request) => ({
    stackName: request.stackName,
    from: request.granted,
    to: request.ended,
    kind: request.state === 'released' ? request.purpose : 'lost',
  }));
  for (const stack of status.stacks) {
    if (stack.lease) {
      list.push({
        stackName: stack.stackName,
        from: Date.parse(stack.lease.grantedAt),
        to: now,
        kind: stack.lease.purpose,
      });
    }
  }
  return list;
}

/* Adds to each step the mean number of things that were there from `from` to `to`. */
function addMean(steps, start, from, to, weight = 1) {
  const first = Math.max(0, (from - start) / STEP);
  const last = Math.min(STEPS, (to - start) / STEP);
  for (let step = Math.floor(first); step < last; step++) {
    steps[step] += weight * (Math.min(last, step + 1) - Math.max(first, step));
  }
}

/* The largest number at any moment of each step. */
function peaks(intervals, start) {
  const events = [];
  for (const { from, to } of intervals) {
    if (to > start) events.push([Math.max(from, start), 1], [to, -1]);
  }
  // At one moment those who leave go first.
  events.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const steps = new Float64Array(STEPS);
  let height = 0;
  let next = 0;
  for (let step = 0; step < STEPS; step++) {
    while (next < events.length && events[next][0] <= start + step * STEP) height += events[next++][1];
    steps[step] = height;
    while (next < events.length && events[next][0] < start + (step + 1) * STEP) {
      height += events[next++][1];
      steps[step] = Math.max(steps[step], height);
    }
  }
  return steps;
}

/* Of each five minutes: how many stacks were leased, free and set aside on average, and how many
 * requests waited at most. What was set aside earlier and is back counts as free. */
export function day(status, ended, now) {
  const start = now - DAY;
  const leased = new Float64Array(STEPS);
  const aside = new Float64Array(STEPS);
  const free = new Float64Array(STEPS);
  const present = new Set(status.stacks.map((stack) => stack.stackName));

  for (const lease of leases(status, ended, now)) {
    addMean(leased, start, lease.from, lease.to);
    if (present.has(lease.stackName)) addMean(free, start, lease.from, lease.to, -1);
  }
  for (const stack of status.stacks) {
    addMean(free, start, Date.parse(stack.created), now);
    if (stack.state === 'held' || stack.state === 'quarantined') {
      addMean(aside, start, Date.parse(stack.modified), now);
      addMean(free, start, Date.parse(stack.modified), now, -1);
    }
  }
  const waits = ended.map((request) => ({ from: request.asked, to: request.granted ?? request.ended }));
  for (const request of status.queue) waits.push({ from: Date.parse(request.askedAt), to: now + 1 });
  for (const stack of status.stacks) {
    if (stack.lease) {
      waits.push({ from: Date.parse(stack.lease.askedAt), to: Date.parse(stack.lease.grantedAt) });
    }
  }
  return {
    start,
    step: STEP,
    leased,
    aside,
    free: free.map((value) => Math.max(0, value)),
    waiting: peaks(waits.filter(({ from, to }) => to > from), start),
  };
}

/* p50 and p95 of each of the last 24 full or begun hours. */
export function hours(ended, now) {
  const first = Math.floor(now / 3600000) - 23;
  const list = Array.from({ length: 24 }, (_, i) => ({
    start: (first + i) * 3600000, waits: [], holds: [],
  }));
  for (const request of ended) {
    if (request.granted !== null) {
      list[Math.floor(request.granted / 3600000) - first]?.waits.push(request.waitedSeconds);
      list[Math.floor(request.ended / 3600000) - first]?.holds.push(request.heldSeconds);
    }
  }
  return list.map(({ start, waits, holds }) => ({
    start,
    wait: { p50: percentile(waits, 0.5), p95: percentile(waits, 0.95) },
    hold: { p50: percentile(holds, 0.5), p95: percentile(holds, 0.95) },
  }));
}

/* What each branch cost: units that were to be redeployed, and time until they were; dearest first. */
export function branches(ended) {
  const all = new Map();
  for (const request of ended) {
    if (request.granted === null) continue;
    let entry = all.get(request.branch);
    if (!entry) {
      entry = { branch: request.branch, leases: 0, units: null, seconds: null };
      all.set(request.branch, entry);
    }
    entry.leases++;
    if (request.changedUnits !== null) entry.units = (entry.units ?? 0) + request.changedUnits;
    if (request.deployed !== null) {
      entry.seconds = (entry.seconds ?? 0) + (request.deployed - request.granted) / 1000;
    }
  }
  return [...all.values()]
    .filter((entry) => entry.units !== null || entry.seconds !== null)
    .sort((a, b) => (b.seconds ?? 0) - (a.seconds ?? 0) || (b.units ?? 0) - (a.units ?? 0));
}

/* For each stack its leases of the day as outlines in a box of 1440 by 10: minutes across. */
export function strips(status, ended, now) {
  const start = now - DAY;
  const all = new Map();
  const stripOf = (stackName) => {
    if (!all.has(stackName)) all.set(stackName, { test: '', refresh: '', lost: '', aside: '', leases: 0, losses: 0, busy: 0 });
    return all.get(stackName);
  };
  for (const lease of leases(status, ended, now)) {
    if (lease.to < start) continue;
    const strip = stripOf(lease.stackName);
    const from = Math.max(0, lease.from - start);
    const width = lease.to - start - from;
    strip[lease.kind] += outline(from, width);
    strip.leases++;
    strip.losses += lease.kind === 'lost' ? 1 : 0;
    strip.busy += width / DAY;
  }
  for (const stack of status.stacks) {
    if (stack.state !== 'held' && stack.state !== 'quarantined') continue;
    const from = Math.max(0, Date.parse(stack.modified) - start);
    stripOf(stack.stackName).aside = outline(from, DAY - from);
  }
  return all;
}

/* At least two minutes wide, or it couldn't be seen. */
function outline(from, width) {
  const minutes = (value) => Math.round(value / 6000) / 10;
  return `M${minutes(from)} 0h${Math.max(2, minutes(width))}v10h-${Math.max(2, minutes(width))}z`;
}
