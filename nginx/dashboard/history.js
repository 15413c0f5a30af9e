/* history: the ended requests of the last 24 hours. Read once, then only what is new. */

import { DAY } from './format.js';

const PAGE = 100;
/* A day of more than this is shown from its latest part only. */
const PAGES = 200;
/* A row may become visible a little after the time that it carries. */
const OVERLAP = 30000;

export class History {
  #byNumber = new Map();
  #latest = 0;
  /* Since when everything is known. */
  since = 0;

  /* False: nothing new. */
  async read(api, now) {
    const start = now - DAY;
    const since = Math.max(start, this.#latest - OVERLAP);
    const found = [];
    let before;
    let pages = 0;
    do {
      const page = await api.get('history', {
        limit: PAGE, before, since: new Date(since).toISOString(),
      });
      found.push(...page.requests);
      before = page.next;
    } while (before !== null && ++pages < PAGES);

    const oldSize = this.#byNumber.size;
    for (const request of found) this.#take(request);
    let forgotten = 0;
    for (const [number, request] of this.#byNumber) {
      if (request.ended < start) {
        this.#byNumber.delete(number);
        forgotten++;
      }
    }
    if (before !== null) this.since = Math.min(...found.map((request) => Date.parse(request.endedAt)));
    this.since = Math.max(this.since, start);
    return forgotten > 0 || this.#byNumber.size + forgotten !== oldSize;
  }

  get requests() {
    return [...this.#byNumber.values()];
  }

  #take(request) {
    const ended = Date.parse(request.endedAt);
    this.#byNumber.set(request.requestNumber, {
      ...request,
      ended,
      asked: Date.parse(request.askedAt),
      granted: request.grantedAt ? Date.parse(request.grantedAt) : null,
      deployed: request.deployedAt ? Date.parse(request.deployedAt) : null,
    });
    this.#latest = Math.max(this.#latest, ended);
  }
}
