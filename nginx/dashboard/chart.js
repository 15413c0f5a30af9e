/* chart: what the pictures share: size, scales, axes, outlines. Plain SVG, and no chart library:
 * a few shapes are all that is needed, they follow the style sheet's themes, stay sharp, can be
 * read by a screen reader, and there is no version of somebody else's to keep. */

import { svg } from './dom.js';
import { clock, count } from './format.js';

/* Draws again whenever the place's width changes: text keeps its size on a phone. */
export class Chart {
  #data = null;
  #width = 0;

  constructor(place, label, draw) {
    this.place = place;
    this.draw = draw;
    this.svg = svg('svg', { role: 'img', 'aria-label': label, class: 'chart' });
    place.append(this.svg);
    new ResizeObserver(() => this.#paint()).observe(place);
  }

  show(data) {
    this.#data = data;
    this.#width = 0;
    this.#paint();
  }

  #paint() {
    const width = Math.floor(this.place.clientWidth);
    if (!this.#data || width < 50 || width === this.#width) return;
    this.#width = width;
    const { height, nodes } = this.draw(this.#data, width);
    this.svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    this.svg.setAttribute('width', width);
    this.svg.setAttribute('height', height);
    this.svg.replaceChildren(...nodes);
  }
}

export function scale(from, to, start, end) {
  return (value) => start + ((value - from) / (to - from || 1)) * (end - start);
}

/* About `wanted` whole numbers from 0 to at least `most`. */
export function countTicks(most, wanted = 4) {
  const rough = Math.max(1, most / wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  return ticks(Math.max(most, 1), step);
}

const DURATIONS = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600,
  43200, 86400];

export function durationTicks(most, wanted = 3) {
  const step = DURATIONS.find((value) => value * wanted >= most) ?? Math.ceil(most / wanted / 86400) * 86400;
  return ticks(Math.max(most, 1), step);
}

function ticks(most, step) {
  return Array.from({ length: Math.ceil(most / step) + 1 }, (_, i) => i * step);
}

export function label(x, y, text, attributes = {}) {
  return svg('text', { x, y, ...attributes }, text);
}

export function line(x1, y1, x2, y2, name) {
  return svg('line', { x1, y1, x2, y2, class: name });
}

export function box(x, y, width, height, name) {
  return svg('rect', { x, y, width: Math.max(0, width), height: Math.max(0, height), class: name });
}

/* Horizontal lines with their numbers at the left. */
export function rows(values, y, left, right, format = count) {
  return values.flatMap((value) => [
    line(left, y(value), right, y(value), value === 0 ? 'axis' : 'grid'),
    label(left - 8, y(value) + 4, format(value), { 'text-anchor': 'end' }),
  ]);
}

/* Clock times below; as many as there is room for. */
export function hourMarks(start, end, x, y, width) {
  const hours = [1, 2, 3, 4, 6, 12].find((step) => (24 / step) * 60 <= width) ?? 12;
  const nodes = [];
  const time = new Date(start);
  time.setMinutes(0, 0, 0);
  for (; time <= end; time.setHours(time.getHours() + 1)) {
    if (time.getHours() % hours !== 0 || time < start) continue;
    const at = x(time.getTime());
    nodes.push(line(at, y, at, y + 4, 'axis'));
    nodes.push(label(at, y + 17, clock(time), { 'text-anchor': 'middle' }));
  }
  return nodes;
}

/* A stepped area between two rows of values. */
export function area(lower, upper, x, y, name) {
  let there = `M${x(0)} ${y(lower[0])}`;
  let back = '';
  for (let i = 0; i < upper.length; i++) {
    there += `V${y(upper[i]).toFixed(1)}H${x(i + 1).toFixed(1)}`;
    back = `V${y(lower[i]).toFixed(1)}H${x(i).toFixed(1)}${back}`;
  }
  return svg('path', { d: `${there}${back}Z`, class: name });
}

