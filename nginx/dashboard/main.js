/* main: the key, the views, and what they are fed with. */

import { ActionDialog } from './action.js';
import { Api, forgetKey, keepKey, looksLikeKey, storedKey } from './api.js';
import { CapacityView } from './capacity.js';
import { DayView } from './day.js';
import { byId, foreign, setAttribute, setText } from './dom.js';
import { clock, duration, plural } from './format.js';
import { History } from './history.js';
import { Poll } from './poll.js';
import { PoolView } from './pool.js';
import { strips } from './series.js';
import { StackDialog } from './stack.js';

const HISTORY_EVERY = 30000;
const STRIPS_EVERY = 60000;
const CAPACITY_EVERY = 600000;

let api = null;
/* What the views show: {api, status, now, history, strips, capacity}. */
let state = null;
/* The service's clock minus ours. */
let ahead = 0;
let read = {};
let shown = 'pool';
let hiding = 0;

const action = new ActionDialog((message) => {
  announce(message);
  poll.now().then(() => stack.refresh());
});
const stack = new StackDialog((verb, target) => target && action.open(verb, target, api));
const views = {
  pool: new PoolView((stackName) => stack.open(stackName, state), () => poll.soon()),
  day: new DayView(),
  capacity: { view: new CapacityView(), show({ capacity }) { this.view.show(capacity); } },
};
const poll = new Poll(ask, failed);

/* --- Asking --- */

/* An answer, or an error, that comes after its key was taken away counts no more. */
async function ask() {
  const asked = api;
  try {
    await askWith(asked);
  } catch (error) {
    if (!asked.isEnded) throw error;
  }
}

async function askWith(asked) {
  const status = await asked.get('status', query());
  ahead = Date.parse(status.now) - Date.now();
  const isFirst = state === null;
  state ??= { api, history: new History(), strips: new Map(), capacity: null };
  state.status = status;
  state.away = await stackAway(asked, status);
  state.now = now();
  await askRest(asked, isFirst);
  if (isFirst) enter();
  else show();
  fresh();
}

/* Of a large pool only what is shown: the last 24 hours show all of it. */
function query() {
  return shown === 'day' ? {} : views.pool.query();
}

function isWhole({ stacks, queue, counts }) {
  return stacks.length === counts.stacks && queue.length === counts.waiting;
}

/* The stack of the open dialog, if the page that was asked for doesn't have it. */
async function stackAway(asked, status) {
  const stackName = stack.name;
  if (stackName === null || isWhole(status) || status.stacks.some((one) => one.stackName === stackName)) return null;
  return (await asked.get('status', { stackName, fields: 'stacks' })).stacks[0] ?? null;
}

/* The rest changes slower: history when something ended, capacity now and then. */
async function askRest(asked, isFirst) {
  const figures = JSON.stringify(state.status.last24Hours);
  let isNew = false;
  if (isFirst || (figures !== read.figures && Date.now() - read.history > HISTORY_EVERY)) {
    isNew = await state.history.read(asked, state.now);
    read.figures = figures;
    read.history = Date.now();
  }
  if (isFirst || isNew || Date.now() - read.strips > STRIPS_EVERY || leasesOf(state.status) !== read.leases) {
    state.strips = strips(state.status, state.history.requests, state.now);
    read.strips = Date.now();
    read.leases = leasesOf(state.status);
  }
  if (isFirst || Date.now() - read.capacity > CAPACITY_EVERY) {
    state.capacity = await asked.get('capacity').catch(() => null);
    read.capacity = Date.now();
  }
}

function leasesOf(status) {
  return status.stacks.map((entry) => `${entry.state}${entry.lease?.fence}`).join();
}

function failed(error, delay) {
  if (error.status === 401 || error.status === 404) {
    leave(error.status === 401 ? 'The service does not know this key, or it was revoked.' : error.message);
    return;
  }
  if (state === null) {
    setText(byId('key-error'), `${error.message}. Trying again in ${duration(Math.round(delay / 1000))}.`);
    return;
  }
  const trouble = byId('trouble');
  setText(byId('trouble-text'), `${error.message}. What you see dates from ${clock(state.now)}.`);
  if (trouble.hidden) {
    trouble.hidden = false;
    document.body.classList.add('stale');
  }
}

function fresh() {
  byId('updated').dateTime = new Date(state.now).toISOString();
  if (byId('trouble').hidden) return;
  byId('trouble').hidden = true;
  setText(byId('trouble-text'), '');
  document.body.classList.remove('stale');
  announce('Up to date again.');
}

/* --- Showing --- */

function now() {
  return Date.now() + ahead;
}

function show() {
  const project = state.status.project.name;
  setText(byId('project'), project);
  const { waiting } = state.status.counts;
  document.title = `${waiting ? `(${waiting}) ` : ''}${project} – stack-orchestrator`;
  showPause(state.status);
  if (shown !== 'day' || isWhole(state.status)) views[shown].show(state);
  stack.show(state);
  tick();
}

function showPause({ project: { pause }, key }) {
  const isAdmin = key?.role === 'admin';
  const shownPause = JSON.stringify(pause ?? null);
  byId('pause-begin').hidden = !isAdmin || Boolean(pause);
  byId('pause').hidden = !pause;
  byId('pause-end').hidden = !isAdmin;
  // Written only when it changes, so that it is read out once.
  if (pause && read.pause !== shownPause) {
    byId('pause-text').replaceChildren('Paused since ', clock(Date.parse(pause.since)), ' by ', foreign(pause.by ?? 'somebody'),
      pause.reason ? ': ' : '', pause.reason ? foreign(pause.reason) : '', '. Nobody gets a stack.');
  }
  read.pause = shownPause;
}

function tick() {
  if (!state || document.hidden) return;
  const age = (now() - state.now) / 1000;
  setText(byId('updated'), age < 15 ? 'now' : `${duration(Math.floor(age))} ago`);
  if (shown === 'pool') views.pool.tick(now());
}

/* Shows the view that the address names; any other fragment (the skip link's) changes nothing. */
function choose() {
  const name = location.hash.slice(1);
  if (Object.hasOwn(views, name)) shown = name;
  for (const other of Object.keys(views)) {
    byId(other).hidden = other !== shown;
    setAttribute(document.querySelector(`nav a[href="#${other}"]`), 'aria-current', other === shown && 'page');
  }
  if (!state) return;
  show();
  if (shown === 'day' && !isWhole(state.status)) poll.now();
}

/* For a screen reader: what happened, not what goes on. */
function announce(text, isShown = true) {
  const place = byId('said');
  setText(place, text);
  place.classList.toggle('shown', isShown);
  clearTimeout(hiding);
  hiding = setTimeout(() => place.classList.remove('shown'), 6000);
}

/* --- The key --- */

function enter() {
  // The form is gone: whoever typed the key goes on from the top of the page.
  if (byId('welcome').contains(document.activeElement)) byId('main').focus();
  byId('welcome').hidden = true;
  byId('dashboard').hidden = false;
  byId('session').hidden = false;
  const { status } = state;
  setText(byId('key-name'), status.key ? `${status.key.name} (${status.key.role})` : '');
  choose();
  announce(`${plural(status.counts.stacks, 'stack')}, ${status.counts.waiting} waiting.`, false);
}

function leave(message = '') {
  poll.stop();
  api?.end();
  api = null;
  state = null;
  read = {};
  forgetKey();
  action.close();
  stack.close();
  document.title = 'stack-orchestrator';
  document.body.classList.remove('stale');
  byId('trouble').hidden = true;
  byId('dashboard').hidden = true;
  byId('session').hidden = true;
  byId('welcome').hidden = false;
  byId('key').value = '';
  setText(byId('key-error'), message);
  byId('key').focus();
}

function use(key) {
  poll.stop();
  api?.end();
  api = new Api(key);
  setText(byId('key-error'), '');
  poll.start();
}

byId('key-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const key = byId('key').value.trim();
  if (!looksLikeKey(key)) {
    setText(byId('key-error'), 'A key has 64 characters, 0 to 9 and a to f.');
    byId('key').focus();
    return;
  }
  keepKey(key);
  use(key);
});
byId('forget').addEventListener('click', () => leave());
byId('again').addEventListener('click', () => poll.now());
byId('pause-begin').addEventListener('click', () => action.open('pause', state.status.project, api));
byId('pause-end').addEventListener('click', () => action.open('resume', state.status.project, api));
window.addEventListener('hashchange', choose);
document.addEventListener('visibilitychange', tick);
setInterval(tick, 1000);

choose();
if (storedKey()) use(storedKey());
