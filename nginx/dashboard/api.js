/* api: calls of the service, with the key. The key is kept for this tab only. */

const STORED = 'stack-orchestrator key';
const TIMEOUT = 20000;

export class ApiError extends Error {
  constructor(status, code, message, retryAfter = 0) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

export function storedKey() {
  return sessionStorage.getItem(STORED);
}

export function keepKey(key) {
  sessionStorage.setItem(STORED, key);
}

export function forgetKey() {
  sessionStorage.removeItem(STORED);
}

export function looksLikeKey(text) {
  return /^[0-9a-f]{64}$/.test(text);
}

export class Api {
  #key;
  #ended = new AbortController();

  constructor(key) {
    this.#key = key;
  }

  get(call, query = {}) {
    const wanted = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
    const text = new URLSearchParams(wanted).toString();
    return this.#send(text ? `${call}?${text}` : call, { method: 'GET' });
  }

  post(call, body) {
    return this.#send(call, { method: 'POST', body: JSON.stringify(body) });
  }

  /* Ends what is under way; nothing that comes later counts. */
  end() {
    this.#ended.abort();
  }

  get isEnded() {
    return this.#ended.signal.aborted;
  }

  /* Paths are relative, so that the service may live below a path of a shared host. */
  async #send(path, options) {
    const timer = new AbortController();
    const stop = () => timer.abort();
    const timeout = setTimeout(stop, TIMEOUT);
    this.#ended.signal.addEventListener('abort', stop);
    try {
      const answer = await fetch(path, {
        ...options,
        headers: { 'X-API-Key': this.#key },
        cache: 'no-store',
        credentials: 'omit',
        redirect: 'error',
        signal: timer.signal,
      });
      return await this.#read(answer);
    } catch (error) {
      if (error instanceof ApiError) throw error;
      throw new ApiError(0, 'unreachable', timer.signal.aborted && !this.isEnded
        ? `No answer within ${TIMEOUT / 1000} seconds` : 'The service cannot be reached');
    } finally {
      clearTimeout(timeout);
      this.#ended.signal.removeEventListener('abort', stop);
    }
  }

  async #read(answer) {
    const text = await answer.text();
    let body = null;
    try {
      body = JSON.parse(text);
    } catch {
      if (answer.ok) throw new ApiError(answer.status, 'notJson', 'The answer is not JSON');
    }
    if (answer.ok) return body;
    throw new ApiError(answer.status, body?.error?.code ?? 'unknown',
      body?.error?.message ?? `The service answered ${answer.status}`,
      Number(answer.headers.get('Retry-After')) || 0);
  }
}
