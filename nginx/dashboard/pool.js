/* pool: the view of now: figures, stacks, queue. */

import { byId, setAttribute, setText } from './dom.js';
import { count, percent, plural, running } from './format.js';
import { QueueRows } from './queue.js';
import { StackRows } from './stacks.js';

/* A pool with more stacks or waiting requests is asked for in part, and searched by the service. */
const LARGE = 100;
/* Rows that are drawn before somebody asks for all. */
const FIRST = { stacks: LARGE, queue: 50 };
/* More rows than fit on any screen. */
const MANY = 40;
const ASIDE = ['held', 'quarantined', 'draining'];
const STATES = ['leased', 'available', ...ASIDE];

export class PoolView {
  #state = null;
  #all = { stacks: false, queue: false };

  /* open(stackName): somebody wants to know more of a stack. ask(): what query() says has changed. */
  constructor(open, ask) {
    this.ask = ask;
    this.stacks = new StackRows(open);
    this.queue = new QueueRows();
    for (const name of ['stacks', 'queue']) byId(`${name}-all`).addEventListener('click', () => this.#showAll(name));
    byId('find').addEventListener('input', () => this.#search());
    byId('find-state').addEventListener('change', () => this.#search());
  }

  /* What to ask /status for. */
  query() {
    if (this.#all.stacks || this.#all.queue) return {};
    if (!this.#isLarge()) return { limit: LARGE };
    return { limit: LARGE, find: byId('find').value.trim() || null, state: byId('find-state').value || null };
  }

  #isLarge() {
    const counts = this.#state?.status.counts;
    return Boolean(counts) && (counts.stacks > LARGE || counts.waiting > LARGE);
  }

  /* What is here is searched at once; the service has more of a large pool. */
  #search() {
    this.show(this.#state);
    if (this.#isLarge() && this.query().limit) this.ask();
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
    const { counts } = status;
    // Those that match and are not here.
    const more = { stacks: counts.foundStacks - status.stacks.length, queue: counts.foundWaiting - status.queue.length };
    this.stacks.show(this.#frame('stacks', stacks, more.stacks, counts.stacks), state);
    this.queue.show(this.#frame('queue', queue, more.queue, counts.waiting), now);
    setText(byId('stacks-none'), counts.stacks === 0
      ? `No stack yet. The first requestStack creates ${status.project.prefix}1.` : 'No stack matches.');
    setText(byId('queue-none'), counts.waiting === 0 ? 'Nobody waits.' : 'No waiting request matches.');
  }

  /* The times that run, between two answers. */
  tick(now) {
    this.stacks.tick(now);
    this.queue.tick(now);
  }

  #showAll(name) {
    this.#all[name] = true;
    this.show(this.#state);
    if (this.#isLarge()) this.ask();
    byId(`${name}-title`).focus();
  }

  /* What stands around a table; returns the rows to draw. `more` match, too, but aren't here. */
  #frame(name, here, more, total) {
    const rows = this.#all[name] ? here : here.slice(0, FIRST[name]);
    const found = here.length + more;
    byId(`${name}-all`).hidden = rows.length === found;
    setText(byId(`${name}-all`), `Show all ${count(found)}`);
    byId(`${name}-none`).hidden = found > 0;
    byId(`${name}-table`).hidden = found === 0;
    byId(`${name}-table`).classList.toggle('many', rows.length > MANY);
    setAttribute(byId(`${name}-table`), 'aria-rowcount', found + 1);
    setText(byId(`${name}-count`), found === total ? count(total) : `${count(found)} of ${count(total)}`);
    return rows;
  }

  #figures({ counts, last24Hours }) {
    const aside = ASIDE.filter((state) => counts[state]);
    setText(byId('now-free'), count(counts.available));
    setText(byId('now-of'), `of ${plural(counts.stacks, 'stack')}`);
    setText(byId('now-leased'), count(counts.leased));
    setText(byId('now-busy'), counts.stacks ? `${percent(counts.leased / counts.stacks)} of the pool` : 'no stack yet');
    setText(byId('now-waiting'), count(counts.waiting));
    setText(byId('now-longest'), counts.waiting ? `longest ${running(counts.longestWaitSeconds)}` : 'nobody');
    setText(byId('now-aside'), count(aside.reduce((sum, state) => sum + counts[state], 0)));
    setText(byId('now-aside-of'), aside.map((state) => `${counts[state]} ${state}`).join(', ') || 'none');
    setText(byId('now-expired'), count(last24Hours.expired));
    byId('tile-waiting').classList.toggle('alert', counts.waiting > 0);
    byId('tile-expired').classList.toggle('alert', last24Hours.expired > 0);
    for (const state of STATES) {
      byId(`share-${state}`).style.flexGrow = counts[state];
      byId(`share-${state}`).hidden = counts[state] === 0;
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
