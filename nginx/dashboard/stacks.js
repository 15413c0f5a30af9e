/* stacks: the rows of the table of stacks. */

import { KeyedList, byId, cell, el, foreign, setAttribute, setText } from './dom.js';
import { commit, date, moment, plural, running } from './format.js';
import { jobLink } from './job.js';
import { stripPicture } from './strip.js';

/* Less time left than this stands out. */
const SOON = 300000;

export const STATES = {
  available: 'free', leased: 'leased', held: 'held', quarantined: 'quarantined', draining: 'draining',
};

export class StackRows {
  #list;
  #state = null;
  #rows = new Map();

  /* open(stackName): somebody wants to know more of a stack. */
  constructor(open) {
    this.open = open;
    this.#list = new KeyedList(byId('stacks'), (stack) => stack.stackName, (stack) => this.#row(stack));
  }

  show(stacks, state) {
    this.#state = state;
    this.#list.show(stacks);
  }

  tick(now) {
    this.#list.rows.forEach((row) => row.tick(now));
  }

  #row({ stackName }) {
    const name = el('button', { type: 'button', class: 'link' }, foreign(stackName, { title: null }));
    name.addEventListener('click', () => this.open(stackName));
    const badge = el('span');
    const next = el('span', { class: 'note' });
    const deploys = el('span', { class: 'note' });
    const since = el('time');
    const sinceFor = el('span', { class: 'note' });
    const left = el('span');
    const strip = stripPicture();
    const branch = cell('Branch');
    const deployed = cell('Commit', 'code');
    const holder = cell('Holder');
    let times = {};
    let shown = '';

    const tick = (now) => {
      setText(sinceFor, running((now - times.since) / 1000));
      setText(left, times.until ? running((times.until - now) / 1000) : '–');
      left.classList.toggle('soon', times.until !== null && times.until - now < SOON);
    };
    const draw = (stack) => {
      setText(badge, STATES[stack.state]);
      badge.className = `badge ${stack.state}`;
      setText(next, isNext(stack) ? `then ${stack.nextState}` : '');
      setText(deploys, troubleOf(stack));
      branch.replaceChildren(foreign(stack.lease?.branch ?? stack.branch ?? '–'));
      deployed.replaceChildren(foreign(commit(stack.lastDeployedCommit) || '–', { title: stack.lastDeployedCommit }));
      holder.replaceChildren(...holderOf(stack));
      setText(since, moment(times.since, this.#state.now));
      setAttribute(since, 'datetime', new Date(times.since).toISOString());
      setAttribute(since, 'title', date(times.since));
    };
    const update = (stack) => {
      times = timesOf(stack);
      const text = JSON.stringify([stack, times], (field, value) => (field === 'expiresInSeconds' ? undefined : value));
      if (text !== shown) draw(stack);
      shown = text;
      strip.show(this.#state.strips.get(stackName));
      tick(this.#state.now);
    };
    const node = el('tr', { role: 'row' },
      el('th', { role: 'rowheader', scope: 'row' }, name),
      cell('State', null, badge, next, deploys),
      branch, deployed, holder,
      cell('Since', null, since, sinceFor),
      cell('Ends in', 'number', left),
      cell('Last 24 hours', 'strip-cell', strip.node));
    return { node, update, tick };
  }
}

export function isNext(stack) {
  return Boolean(stack.nextState) && stack.nextState !== 'available';
}

/* What its latest deploys came to; '' if they did well. */
export function troubleOf({ failedDeploys, unsettled }) {
  return [failedDeploys ? plural(failedDeploys, 'failed deploy') : '', unsettled ? 'unsettled' : '']
    .filter(Boolean).join(', ');
}

/* Since when it is as it is, and until when. */
export function timesOf(stack) {
  const until = stack.lease?.expiresAt ?? (stack.state === 'held' ? stack.hold?.until : null);
  return {
    since: Date.parse(stack.lease?.grantedAt ?? stack.modified),
    until: until ? Date.parse(until) : null,
  };
}

function holderOf(stack) {
  if (stack.lease) return jobLink(stack.lease);
  if (!stack.hold) return ['–'];
  const { owner, reason } = stack.hold;
  return reason ? [foreign(owner ?? '–'), foreign(reason, { class: 'note' })] : [foreign(owner ?? '–')];
}
