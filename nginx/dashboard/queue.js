/* queue: the rows of the table of waiting requests. */

import { KeyedList, byId, cell, el, foreign, setText } from './dom.js';
import { running } from './format.js';
import { jobLink } from './job.js';

export class QueueRows {
  #list;
  #now = 0;

  constructor() {
    this.#list = new KeyedList(byId('queue'), (request) => request.requestNumber, () => this.#row());
  }

  show(requests, now) {
    this.#now = now;
    this.#list.show(requests);
  }

  tick(now) {
    this.#list.rows.forEach((row) => row.tick(now));
  }

  #row() {
    const position = el('th', { role: 'rowheader', scope: 'row' });
    const branch = cell('Branch');
    const job = cell('Job');
    const waited = cell('Waiting for', 'number');
    const left = cell('Estimated wait', 'number');
    const note = cell('Notes');
    let asked = 0;

    const tick = (now) => setText(waited, running((now - asked) / 1000));
    const update = (request) => {
      asked = Date.parse(request.askedAt);
      setText(position, request.position);
      // What a request says of itself never changes.
      if (!branch.firstChild) branch.append(foreign(request.branch));
      if (!job.firstChild) job.append(...jobLink(request));
      setText(left, running(request.estimatedWaitSeconds));
      setText(note, notes(request));
      tick(this.#now);
    };
    return { node: el('tr', { role: 'row' }, position, branch, job, waited, left, note), update, tick };
  }
}

function notes(request) {
  return [
    request.connected ? null : 'not connected now',
    request.stackName ? `waits for ${request.stackName}` : null,
    request.priority ? `priority ${request.priority}` : null,
    request.passedOver ? `passed over ${request.passedOver}×` : null,
    request.purpose === 'refresh' ? 'refresh' : null,
  ].filter(Boolean).join(', ');
}
