/* poll: asks again and again, gently. One call at a time; never while the tab is hidden; slower
 * for a large or slow answer; after an error at growing intervals. */

const INTERVAL = 5000;
/* At most this part of the time is spent on asking. */
const SHARE = 1 / 20;
const LONGEST = 60000;
const SOON = 250;

export class Poll {
  #timer = 0;
  #typing = 0;
  #errors = 0;
  #stopped = true;
  #due = 0;
  #current = Promise.resolve();
  #queued = null;

  /* ask() does it; failed(error, milliseconds until the next try) tells of trouble. */
  constructor(ask, failed) {
    this.ask = ask;
    this.failed = failed;
    document.addEventListener('visibilitychange', () => this.#wake());
    window.addEventListener('online', () => this.now());
  }

  start() {
    this.#stopped = false;
    this.#errors = 0;
    this.now();
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /* Asks once more, after what is under way; resolves when that is done. */
  now() {
    clearTimeout(this.#timer);
    this.#queued ??= this.#current.then(() => {
      this.#queued = null;
      this.#current = this.#run();
      return this.#current;
    });
    return this.#queued;
  }

  /* The same once nothing more was wished for a moment: somebody types. */
  soon() {
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => this.now(), SOON);
  }

  #wake() {
    clearTimeout(this.#timer);
    if (!document.hidden) this.#plan(this.#due - Date.now());
  }

  #plan(delay) {
    this.#due = Date.now() + Math.max(0, delay);
    clearTimeout(this.#timer);
    if (!document.hidden && !this.#stopped) this.#timer = setTimeout(() => this.now(), Math.max(0, delay));
  }

  async #run() {
    if (this.#stopped) return;
    const start = performance.now();
    let delay;
    try {
      await this.ask();
      this.#errors = 0;
      delay = Math.min(LONGEST, Math.max(INTERVAL, (performance.now() - start) / SHARE));
    } catch (error) {
      this.#errors++;
      // Spread, so that many tabs don't come back at once.
      delay = Math.min(LONGEST, INTERVAL * 2 ** (this.#errors - 1)) * (0.8 + 0.4 * Math.random());
      delay = Math.max(delay, (error.retryAfter ?? 0) * 1000);
      this.failed(error, delay);
    }
    this.#plan(delay);
  }
}
