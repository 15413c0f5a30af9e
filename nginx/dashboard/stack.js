/* stack: the dialog that tells all of one stack, and where an administrator acts on it. */

import { byId, el, foreign, setText } from './dom.js';
import { commit, date, duration, moment, plural } from './format.js';
import { jobLink } from './job.js';
import { STATES, isNext, timesOf, troubleOf } from './stacks.js';
import { stripPicture } from './strip.js';

const LEASES = 20;
const ACTIONS = 10;

export class StackDialog {
  #name = null;
  #shown = '';
  #strip = stripPicture();

  /* act(verb, stack): an administrator wants to do something with it. */
  constructor(act) {
    this.dialog = byId('stack');
    this.act = act;
    byId('stack-strip').append(this.#strip.node);
    byId('stack-close').addEventListener('click', () => this.dialog.close());
    this.dialog.addEventListener('close', () => { this.#name = null; });
    for (const button of this.dialog.querySelectorAll('[data-verb]')) {
      button.addEventListener('click', () => this.act(button.dataset.verb, this.#find()));
    }
  }

  open(stackName, state) {
    this.#name = stackName;
    this.#shown = '';
    byId('stack-leases').replaceChildren();
    byId('stack-actions').replaceChildren();
    this.show(state);
    if (!this.dialog.open) this.dialog.showModal();
    this.refresh();
  }

  close() {
    this.dialog.close();
  }

  show(state) {
    if (this.#name === null) return;
    this.state = state;
    const stack = this.#find();
    setText(byId('stack-title'), this.#name);
    byId('stack-gone').hidden = Boolean(stack);
    byId('stack-admin').hidden = !stack || state.status.key?.role !== 'admin';
    if (!stack) {
      byId('stack-facts').replaceChildren();
      return;
    }
    this.#strip.show(state.strips.get(this.#name));
    byId('stack-facts').replaceChildren(...facts(stack, state.now).flatMap(([name, ...value]) => [
      el('dt', {}, name), el('dd', {}, ...value)]));
    const may = {
      holdStack: stack.state !== 'draining',
      quarantineStack: stack.state !== 'draining',
      reinstateStack: ['held', 'quarantined', 'draining'].includes(stack.state) || isNext(stack),
      revokeLease: Boolean(stack.lease),
    };
    for (const button of this.dialog.querySelectorAll('[data-verb]')) button.hidden = !may[button.dataset.verb];
    // Another lease or state: there is more to tell.
    const shown = `${stack.state} ${stack.lease?.fence}`;
    if (this.#shown !== '' && this.#shown !== shown) this.refresh();
    this.#shown = shown;
  }

  /* Its latest leases and what was done to it, also from before the last 24 hours. */
  async refresh() {
    const stackName = this.#name;
    if (stackName === null) return;
    const { api, now } = this.state;
    try {
      const [{ requests }, { actions }] = await Promise.all([
        api.get('history', { stackName, limit: LEASES }),
        api.get('actions', { stackName, limit: ACTIONS })]);
      if (stackName !== this.#name) return;
      setText(byId('stack-trouble'), '');
      showRows('stack-leases', requests.map((request) => leaseRow(request, now)));
      showRows('stack-actions', actions.map((action) => actionRow(action, now)));
    } catch (error) {
      setText(byId('stack-trouble'), `The history of this stack could not be read: ${error.message}`);
    }
  }

  /* Of the open dialog; null: it is closed. */
  get name() {
    return this.#name;
  }

  #find() {
    const { status, away } = this.state;
    return [...status.stacks, away].find((stack) => stack?.stackName === this.#name);
  }
}

function facts(stack, now) {
  const times = timesOf(stack);
  const list = [
    ['State', el('span', { class: `badge ${stack.state}` }, STATES[stack.state]), isNext(stack) ? ` then ${stack.nextState}` : ''],
    ['Since', time(times.since, now), ` (${duration((now - times.since) / 1000)})`],
    ['Deployed commit', foreign(stack.lastDeployedCommit ?? 'none', { class: 'code' })],
  ];
  if (stack.failedDeploys) {
    list.push(['Deploys', `${troubleOf(stack)}, of ${plural(stack.failedBranches, 'branch', 'branches')}, since `,
      time(Date.parse(stack.failedSince), now)]);
  } else if (stack.unsettled) {
    list.push(['Deploys', 'one was cut off ', time(Date.parse(stack.unsettledSince), now)]);
  }
  if (times.until) list.push(['Ends', time(times.until, now), ` (in ${duration((times.until - now) / 1000)})`]);
  if (stack.lease) {
    const { lease } = stack;
    list.push(['Holder', ...jobLink(lease)], ['Key', foreign(lease.keyName)], ['Branch', foreign(lease.branch)],
      ['Commit to test', foreign(lease.commit ?? 'not given', { class: 'code' })],
      ['Units to redeploy', lease.changedUnits === null ? 'not given' : String(lease.changedUnits)],
      ...(lease.estimatedDeploySeconds === null ? [] : [['Deploy should take', duration(lease.estimatedDeploySeconds)]]),
      ['Deployed', lease.deployedAt ? time(Date.parse(lease.deployedAt), now) : 'not yet'],
      ['Lease', `request ${lease.requestNumber}, fence ${lease.fence}`]);
  } else {
    list.push(['Last branch', foreign(stack.branch ?? 'none')]);
  }
  if (stack.hold) {
    list.push([stack.lease ? 'To be set aside by' : 'Set aside by', foreign(stack.hold.owner ?? 'unknown')],
      ['Reason', foreign(stack.hold.reason ?? 'none given')]);
  }
  return list;
}

function time(value, now) {
  return el('time', { datetime: new Date(value).toISOString(), title: date(value) }, moment(value, now));
}

function showRows(id, rows) {
  byId(id).replaceChildren(...rows);
  byId(`${id}-table`).hidden = rows.length === 0;
  byId(`${id}-none`).hidden = rows.length > 0;
}

function leaseRow(request, now) {
  return el('tr', {},
    el('th', { scope: 'row' }, time(Date.parse(request.grantedAt), now)),
    el('td', { class: 'number' }, duration(request.heldSeconds)),
    el('td', {}, foreign(request.branch), foreign(commit(request.commit), { class: 'note code', title: request.commit })),
    el('td', {}, ...jobLink(request)),
    el('td', {}, request.outcome ?? request.state,
      request.changedUnits === null ? null : el('span', { class: 'note' }, plural(request.changedUnits, 'changed unit'))));
}

function actionRow(action, now) {
  return el('tr', {},
    el('th', { scope: 'row' }, time(Date.parse(action.at), now)),
    el('td', {}, action.action),
    el('td', {}, foreign(action.keyName)),
    el('td', {}, foreign(action.reason ?? '–'), action.detail ? foreign(action.detail, { class: 'note' }) : null));
}
