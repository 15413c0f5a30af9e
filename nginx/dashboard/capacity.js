/* capacity: the view that answers how many stacks the team needs. */

import { Chart, box, label, line, rows, scale } from './chart.js';
import { byId, el, setText } from './dom.js';
import { count, date, duration, percent, plural } from './format.js';

const MARKS = [0, 1, 10, 60, 600, 3600, 14400, 86400];

export class CapacityView {
  #chart;

  constructor() {
    this.#chart = new Chart(byId('capacity-chart'), 'Waits by number of stacks; the table below has the numbers', draw);
  }

  show(capacity) {
    const known = Boolean(capacity?.jobs && capacity.stacks?.length);
    byId('capacity-empty').hidden = known;
    byId('capacity-known').hidden = !known;
    if (!known) return;
    this.#chart.show(capacity);
    setText(byId('capacity-answer'), answer(capacity));
    setText(byId('capacity-reason'), reason(capacity));
    const facts = [
      ['jobs replayed', `${count(capacity.jobs)} in ${plural(capacity.days, 'day')}`],
      ['busiest hour', capacity.busiestHour
        ? `${plural(capacity.busiestHour.jobs, 'job')}, ${date(Date.parse(capacity.busiestHour.start))}` : '–'],
      ['a job keeps its stack', `${duration(capacity.meanHoldSeconds)} on average`],
      ['stacks in use on average then', count(capacity.offeredLoad)],
    ];
    byId('capacity-facts').replaceChildren(...facts.map(([name, value]) => el('div', {},
      el('dt', {}, name), el('dd', {}, value))));
    byId('capacity-rows').replaceChildren(...capacity.stacks.map((entry) => el('tr', {},
      el('th', { scope: 'row' }, count(entry.stacks), note(entry, capacity)),
      el('td', { class: 'number' }, duration(entry.meanWaitSeconds)),
      el('td', { class: 'number' }, duration(entry.p95WaitSeconds)),
      el('td', { class: 'number' }, percent(entry.utilisation)))));
    byId('assumptions').replaceChildren(...(capacity.assumptions ?? []).map((text) => el('li', {}, text)));
  }
}

function note(entry, capacity) {
  if (entry.stacks === capacity.recommended) return el('span', { class: 'tag' }, 'recommended');
  return entry.stacks === capacity.current ? el('span', { class: 'tag' }, 'today') : null;
}

function answer({ recommended, current }) {
  if (!recommended) return 'More stacks than were tried.';
  if (recommended === current) return `${plural(recommended, 'stack')}: what you have.`;
  return `${plural(recommended, 'stack')}. You have ${count(current)}.`;
}

function reason({ recommended, current, stacks, target }) {
  const waits = [...new Set([recommended, current])]
    .map((number) => stacks.find((entry) => entry.stacks === number))
    .filter(Boolean)
    .map((entry) => `with ${count(entry.stacks)} it is ${duration(entry.p95WaitSeconds)}`);
  return `The goal is that 95 % of the jobs wait at most ${duration(target.p95WaitSeconds)}: ${waits.join(', ')}.`;
}

/* Waits reach from nothing to hours: each mark of the scale is some times the one before. */
function draw(capacity, width) {
  const left = 60;
  const top = 46;
  const bottom = 270;
  const right = width - 1;
  const list = capacity.stacks;
  const most = Math.max(capacity.target.p95WaitSeconds,
    ...list.map((entry) => Math.max(entry.p95WaitSeconds, entry.meanWaitSeconds)));
  const marks = MARKS.slice(0, Math.max(3, MARKS.findIndex((mark) => mark >= most) + 1) || MARKS.length);
  const log = (seconds) => Math.log1p(seconds ?? 0);
  const level = scale(0, log(Math.max(marks.at(-1), most)), bottom, top);
  const y = (seconds) => level(log(seconds));
  const x = scale(0, list.length, left, right);
  const gap = (x(1) - x(0)) / 6;
  const nodes = rows(marks, y, left, right, (value) => (value ? duration(value) : '0'));
  list.forEach((entry, i) => {
    const middle = x(i + 0.5);
    const name = entry.stacks === capacity.recommended ? 'best'
      : entry.p95WaitSeconds <= capacity.target.p95WaitSeconds ? 'good' : 'over';
    nodes.push(box(x(i) + gap, Math.min(bottom - 3, y(entry.p95WaitSeconds)), x(1) - x(0) - 2 * gap, Math.max(3, bottom - y(entry.p95WaitSeconds)), name));
    nodes.push(line(x(i) + gap, y(entry.meanWaitSeconds), x(i + 1) - gap, y(entry.meanWaitSeconds), 'mean'));
    nodes.push(label(middle, y(entry.p95WaitSeconds) - 6, duration(entry.p95WaitSeconds), { 'text-anchor': 'middle', class: 'value' }));
    nodes.push(label(middle, bottom + 18, count(entry.stacks), { 'text-anchor': 'middle', class: entry.stacks === capacity.current ? 'value current' : 'value' }));
    if (entry.stacks === capacity.current) nodes.push(label(middle, bottom + 33, 'today', { 'text-anchor': 'middle' }));
  });
  const goal = y(capacity.target.p95WaitSeconds);
  nodes.push(line(left, goal, right, goal, 'target'));
  nodes.push(label(right, goal - 6, `goal ${duration(capacity.target.p95WaitSeconds)}`, { 'text-anchor': 'end', class: 'target-label' }));
  nodes.push(label(left, top - 30, 'wait, 95th percentile', { class: 'title' }));
  return { height: bottom + 38, nodes };
}
