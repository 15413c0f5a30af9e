/* pool: the view of now: figures, stacks, queue. */

import { byId, setAttribute, setText } from './dom.js';
import { count, percent, plural, running } from './format.js';
import { QueueRows } from './queue.js';
import { StackRows } from './stacks.js';

/* Rows that are drawn before somebody asks for all. */
const FIRST = { stacks: 100, queue: 50 };
/* More rows than fit on any screen. */
const MANY = 40;
const ASIDE = ['held', 'quarantined', 'draining'];

export class PoolView {
  #state = null;
  #all = { stacks: false, queue: false };

  /* open(stackName): somebody wants to know more of a stack. */
  constructor(open) {
    this.stacks = new StackRows(open);
    this.queue = new QueueRows();
    for (const name of ['stacks', 'queue']) byId(`${name}-all`).addEventListener('click', () => this.#showAll(name));
    byId('find').addEventListener('input', () => this.show(this.#state));
    byId('find-state').addEventListener('change', () => this.show(this.#state));
  }

  show(state) {
    this.#state = state;
    if (!state) return;
    const { status, now } = state;
    const text = byId('find').value.trim().toLowerCase();
    const kind = byId('find-state').value;
    const stacks = status.stacks.filter((stack) => isKind(stack, kind) && says(text, [stack.stackName,
      stack.branch, stack.lastDeployedCommit, stack.hold?.owner, stack.hold?.reason, ...textsOf(stack.lease)]));
    const queue = status.queue.filter((request) => says(text, textsOf(request)));

    this.#figures(status);
    this.stacks.show(this.#frame('stacks', stacks, status.stacks.length), state);
    this.queue.show(this.#frame('queue', queue, status.queue.length), now);
    setText(byId('stacks-none'), status.stacks.length === 0
      ? `No stack yet. The first requestStack creates ${status.project.prefix}1.` : 'No stack matches.');
    setText(byId('queue-none'), status.queue.length === 0 ? 'Nobody waits.' : 'No waiting request matches.');
  }

  /* The times that run, between two answers. */
  tick(now) {
    this.stacks.tick(now);
    this.queue.tick(now);
  }

  #showAll(name) {
    this.#all[name] = true;
    this.show(this.#state);
    byId(`${name}-title`).focus();
  }

  /* What stands around a table; returns the rows to draw. */
  #frame(name, found, total) {
    const rows = this.#all[name] ? found : found.slice(0, FIRST[name]);
    byId(`${name}-all`).hidden = rows.length === found.length;
    setText(byId(`${name}-all`), `Show all ${count(found.length)}`);
    byId(`${name}-none`).hidden = found.length > 0;
    byId(`${name}-table`).hidden = found.length === 0;
    byId(`${name}-table`).classList.toggle('many', rows.length > MANY);
    setAttribute(byId(`${name}-table`), 'aria-rowcount', found.length + 1);
    setText(byId(`${name}-count`), found.length === total ? count(total) : `${count(found.length)} of ${count(total)}`);
    return rows;
  }

  #figures({ stacks, queue, last24Hours }) {
    const counts = { leased: 0, available: 0, held: 0, quarantined: 0, draining: 0 };
    for (const stack of stacks) counts[stack.state]++;
    const aside = ASIDE.filter((state) => counts[state]);
    setText(byId('now-free'), count(counts.available));
    setText(byId('now-of'), `of ${plural(stacks.length, 'stack')}`);
    setText(byId('now-leased'), count(counts.leased));
    setText(byId('now-busy'), stacks.length ? `${percent(counts.leased / stacks.length)} of the pool` : 'no stack yet');
    setText(byId('now-waiting'), count(queue.length));
    setText(byId('now-longest'), queue.length
      ? `longest ${running(Math.max(...queue.map((request) => request.waitedSeconds)))}` : 'nobody');
    setText(byId('now-aside'), count(aside.reduce((sum, state) => sum + counts[state], 0)));
    setText(byId('now-aside-of'), aside.map((state) => `${counts[state]} ${state}`).join(', ') || 'none');
    setText(byId('now-expired'), count(last24Hours.expired));
    byId('tile-waiting').classList.toggle('alert', queue.length > 0);
    byId('tile-expired').classList.toggle('alert', last24Hours.expired > 0);
    for (const [state, number] of Object.entries(counts)) {
      byId(`share-${state}`).style.flexGrow = number;
      byId(`share-${state}`).hidden = number === 0;
    }
  }
}

function isKind(stack, kind) {
  return kind === '' || stack.state === kind || (kind === 'aside' && ASIDE.includes(stack.state));
}

function says(text, texts) {
  return text === '' || texts.some((candidate) => candidate?.toLowerCase().includes(text));
}

function textsOf(request) {
  return request ? [request.branch, request.commit, request.keyName, request.job.name, request.job.user] : [];
}
