/* format: numbers and times as a person reads them. */

const numbers = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const clocks = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const days = new Intl.DateTimeFormat(undefined, {
  weekday: 'short', hour: '2-digit', minute: '2-digit',
});
const dates = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

export const DAY = 24 * 3600 * 1000;

export function count(value) {
  return value === null || value === undefined ? '–' : numbers.format(value);
}

export function plural(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/* 42 s, 12 min, 3 h 05 min, 2 d 4 h */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return '–';
  if (seconds < 9.95) return `${numbers.format(Math.max(0, seconds))} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 600) return parts(whole, 60, 'min', 's');
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 1440) return parts(minutes, 60, 'h', 'min');
  return parts(Math.round(minutes / 60), 24, 'd', 'h');
}

function parts(value, size, large, small) {
  const rest = value % size;
  const head = `${Math.floor(value / size)} ${large}`;
  return rest === 0 ? head : `${head} ${rest} ${small}`;
}

/* For a time that runs on a screen: whole seconds, so that it doesn't flicker. */
export function running(seconds) {
  return duration(Math.max(0, Math.floor(seconds)));
}

export function percent(part) {
  return part === null || part === undefined ? '–' : `${Math.round(part * 100)} %`;
}

export function clock(time) {
  return clocks.format(time);
}

/* With the weekday where today's clock would mislead. */
export function moment(time, now) {
  return Math.abs(now - time) < DAY / 2 ? clocks.format(time) : days.format(time);
}

export function date(time) {
  return dates.format(time);
}

/* A git commit is told apart by its first digits; anything else is shown as it is. */
export function commit(text) {
  return /^[0-9a-f]{12,}$/.test(text ?? '') ? text.slice(0, 10) : text ?? '';
}
