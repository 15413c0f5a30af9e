/* day: the view of the last 24 hours. */

import { Chart, area, box, countTicks, durationTicks, hourMarks, label, line, rows, scale } from './chart.js';
import { byId, el, foreign, setText, svg } from './dom.js';
import { clock, count, date, duration, moment, percent, plural } from './format.js';
import { STEPS, branches, day, hours } from './series.js';

const LEFT = 52;
const ENDS = [
  ['released', 'given back', 'good'],
  ['expired', 'expired: not given back in time', 'bad'],
  ['revoked', 'revoked by an administrator', 'bad'],
  ['timedOut', 'gave up when the wait was over', 'wait'],
  ['abandoned', 'hung up while waiting', 'wait'],
  ['cancelled', 'cancelled while waiting', 'plain'],
  ['superseded', 'superseded by a newer request', 'plain'],
];

export class DayView {
  #pool;
  #wait;
  #hold;
  #series = null;

  constructor() {
    this.#pool = new Chart(byId('pool-chart'), 'Stacks leased, free and set aside, and requests waiting, over the last 24 hours', drawPool);
    this.#wait = new Chart(byId('wait-chart'), 'Time waited, by hour: median and 95th percentile', drawHours('wait'));
    this.#hold = new Chart(byId('hold-chart'), 'Time held, by hour: median and 95th percentile', drawHours('hold'));
    this.cursor = byId('pool-time');
    this.cursor.max = STEPS - 1;
    this.cursor.value = STEPS - 1;
    this.cursor.addEventListener('input', () => this.#read());
    this.#pool.place.addEventListener('pointermove', (event) => this.#point(event));
    this.#pool.place.addEventListener('pointerleave', () => this.#pointAt(STEPS - 1));
  }

  show(state) {
    const ended = state.history.requests;
    this.#series = day(state.status, ended, state.now);
    this.#pool.show(this.#series);
    const perHour = hours(ended, state.now);
    this.#wait.show(perHour);
    this.#hold.show(perHour);
    this.#read();
    this.#figures(state.status.last24Hours);
    this.#expiries(ended, state.now);
    this.#branches(ended);
    this.#units(state.status.deployTimes);
    byId('day-empty').hidden = ended.length > 0 || state.status.stacks.length > 0;
    const from = state.history.since;
    byId('day-part').hidden = from <= state.now - 23.9 * 3600000;
    setText(byId('day-part'), `Too much happened to show all of it: this page starts with what ended after ${clock(from)}.`);
  }

  #point(event) {
    const box = this.#pool.place.getBoundingClientRect();
    const part = (event.clientX - box.left - LEFT) / (box.width - LEFT - 1);
    this.#pointAt(Math.floor(part * STEPS));
  }

  #pointAt(step) {
    this.cursor.value = step;
    this.#read();
  }

  /* The legend tells the values at the time that the slider is set to. */
  #read() {
    if (!this.#series) return;
    const step = Number(this.cursor.value);
    const { start, step: length, ...series } = this.#series;
    const time = clock(start + step * length);
    const values = ['waiting', 'leased', 'free', 'aside'].map((name) => [name, count(series[name][step])]);
    setText(byId('pool-at'), time);
    for (const [name, value] of values) setText(byId(`pool-${name}`), value);
    this.cursor.setAttribute('aria-valuetext', `${time}: ${values.map((pair) => pair.join(' ')).join(', ')}`);
    const x = LEFT + ((step + 0.5) / STEPS) * (this.#pool.place.clientWidth - LEFT - 1);
    this.#pool.svg.querySelector('.cursor')?.setAttribute('transform', `translate(${x.toFixed(1)} 0)`);
  }

  #figures(day24) {
    setText(byId('wait-p50'), duration(day24.waitSeconds.p50));
    setText(byId('wait-p95'), duration(day24.waitSeconds.p95));
    setText(byId('hold-p50'), duration(day24.holdSeconds.p50));
    setText(byId('hold-p95'), duration(day24.holdSeconds.p95));
    setText(byId('same-content'), day24.granted ? percent(day24.sameContentGrants / day24.granted) : '–');
    setText(byId('ends-total'), plural(day24.requests, 'request'));
    const most = Math.max(1, ...ENDS.map(([state]) => day24[state]));
    byId('ends').replaceChildren(...ENDS.map(([state, text, kind]) => el('tr', {},
      el('th', { scope: 'row' }, text),
      el('td', { class: 'number' }, count(day24[state])),
      barCell(day24[state] / most, kind))));
  }

  #expiries(ended, now) {
    const lost = ended.filter((request) => request.state === 'expired')
      .sort((a, b) => b.ended - a.ended).slice(0, 8);
    byId('expiries-none').hidden = lost.length > 0;
    byId('expiries-table').hidden = lost.length === 0;
    byId('expiries').replaceChildren(...lost.map((request) => el('tr', {},
      el('th', { scope: 'row' }, foreign(request.stackName)),
      el('td', {}, foreign(request.branch)),
      el('td', {}, foreign(request.job.name ?? request.keyName)),
      el('td', { class: 'number' }, duration(request.heldSeconds)),
      el('td', { class: 'number' }, el('time', { datetime: request.endedAt, title: date(request.ended) }, moment(request.ended, now))))));
  }

  #branches(ended) {
    const dearest = branches(ended).slice(0, 10);
    const most = Math.max(...dearest.map((entry) => entry.seconds ?? 0)) || 1;
    byId('branches-none').hidden = dearest.length > 0;
    byId('branches-table').hidden = dearest.length === 0;
    byId('branches').replaceChildren(...dearest.map((entry) => el('tr', {},
      el('th', { scope: 'row' }, foreign(entry.branch)),
      el('td', { class: 'number' }, count(entry.leases)),
      el('td', { class: 'number' }, count(entry.units)),
      el('td', { class: 'number' }, duration(entry.seconds)),
      barCell((entry.seconds ?? 0) / most, 'leased'))));
  }

  #units(times) {
    const dearest = times.slice(0, 10);
    const most = Math.max(...dearest.map((entry) => entry.meanSeconds * entry.deploys)) || 1;
    byId('units-none').hidden = dearest.length > 0;
    byId('units-table').hidden = dearest.length === 0;
    byId('units').replaceChildren(...dearest.map((entry) => el('tr', {},
      el('th', { scope: 'row' }, foreign(entry.unit)),
      el('td', { class: 'number' }, count(entry.deploys)),
      el('td', { class: 'number' }, duration(entry.meanSeconds)),
      barCell((entry.meanSeconds * entry.deploys) / most, 'leased'))));
  }
}

/* A bar beside its number, so it tells a screen reader nothing new. */
function barCell(part, kind) {
  const bar = svg('svg', { class: 'bar', viewBox: '0 0 100 10', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    box(0, 0, Math.max(part > 0 ? 1 : 0, part * 100), 10, kind));
  return el('td', { class: 'bar-cell' }, bar);
}

function drawPool(series, width) {
  const waitTop = 22;
  const waitBottom = 92;
  const top = 126;
  const bottom = 290;
  const right = width - 1;
  const inPool = series.leased.map((value, i) => value + series.aside[i] + series.free[i]);
  const set = series.leased.map((value, i) => value + series.aside[i]);
  const zero = new Float64Array(STEPS);
  const waitTicks = countTicks(Math.max(...series.waiting), 3);
  const poolTicks = countTicks(Math.max(...inPool));
  const x = scale(0, STEPS, LEFT, right);
  const yWait = scale(0, waitTicks.at(-1), waitBottom, waitTop);
  const y = scale(0, poolTicks.at(-1), bottom, top);
  const time = scale(series.start, series.start + STEPS * series.step, LEFT, right);
  return {
    height: bottom + 24,
    nodes: [
      label(LEFT, waitTop - 9, 'requests waiting', { class: 'title' }),
      ...rows(waitTicks, yWait, LEFT, right),
      area(zero, series.waiting, x, yWait, 'waiting'),
      label(LEFT, top - 9, 'stacks', { class: 'title' }),
      ...rows(poolTicks, y, LEFT, right),
      area(zero, series.leased, x, y, 'leased'),
      area(series.leased, set, x, y, 'aside'),
      area(set, inPool, x, y, 'free'),
      ...hourMarks(series.start, series.start + STEPS * series.step, time, bottom, right - LEFT),
      line(0, waitTop, 0, bottom, 'cursor'),
    ],
  };
}

function drawHours(what) {
  return (list, width) => {
    const top = 8;
    const bottom = 128;
    const left = 60;
    const right = width - 1;
    const values = durationTicks(Math.max(1, ...list.map((hour) => hour[what].p95 ?? 0)));
    const x = scale(0, list.length, left, right);
    const y = scale(0, values.at(-1), bottom, top);
    const time = scale(list[0].start, list[0].start + list.length * 3600000, left, right);
    const gap = Math.min(3, (right - left) / list.length / 5);
    const bars = (part) => list.map((hour, i) => {
      const value = hour[what][part] ?? 0;
      return box(x(i) + gap, y(value), x(1) - x(0) - 2 * gap, bottom - y(value), part);
    });
    return {
      height: bottom + 24,
      nodes: [
        ...rows(values, y, left, right, (value) => (value ? duration(value) : '0')),
        ...bars('p95'),
        ...bars('p50'),
        ...hourMarks(list[0].start, list[0].start + list.length * 3600000, time, bottom, right - left),
      ],
    };
  };
}
