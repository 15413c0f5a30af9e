/* service: the instance under test, its projects and its calls. */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { Seed } from './seed.mjs';

const { VAR, ROOT } = process.env;

export const url = () => readFileSync(`${VAR}/url`, 'utf8').trim();
export const seed = new Seed(VAR);

function run(program, ...words) {
  const result = spawnSync(`${ROOT}/scripts/${program}`, words, { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`${program} ${words.join(' ')}: ${result.stderr}`);
  return result.stdout.trim();
}

export function ctl(...words) {
  return run('orchestratorctl', '-c', `${VAR}/etc/stack-orchestrator.conf`, ...words);
}

/* local('kill', 'program') */
export function local(...words) {
  return run('local', ...words, '--var', VAR);
}

/* While it is stopped (SIGSTOP), connections are taken but never answered. */
export function signal(part, name) {
  process.kill(Number(local('pid', part)), name);
}

let projects = 0;

/* On a connection of its own: one that is kept may end, with an nginx that reloads, as the call is sent. */
function send(address, options, body) {
  return new Promise((resolve, reject) => {
    const call = request(address, options, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part) => { text += part; })
        .on('end', () => resolve({ status: answer.statusCode, text })).on('error', reject);
    });
    call.on('error', reject).end(body);
  });
}

/* A project of a test's own, with a key of each role. */
export class Project {
  #waiting = new AbortController();

  constructor(...settings) {
    this.name = settings[0]?.startsWith('--') === false ? settings.shift() : `web-${++projects}`;
    ctl('project', 'create', this.name, '--same-prefix', ...settings);
    this.keys = {};
    for (const role of ['viewer', 'ci', 'admin']) this.keys[role] = ctl('key', 'create', this.name, role, `${this.name}-${role}`);
  }

  async call(role, method, path, body, signal) {
    const { status, text } = await send(`${url()}/${path}`, {
      method, signal, agent: false, headers: { 'X-API-Key': this.keys[role] },
    }, body === undefined ? '' : JSON.stringify(body));
    if (status !== 200) throw new Error(`${path}: ${status} ${text}`);
    return JSON.parse(text);
  }

  get(path) {
    return this.call('viewer', 'GET', path);
  }

  request(body) {
    return this.call('ci', 'POST', 'requestStack', body);
  }

  release({ stackName, leaseId }, outcome) {
    return this.call('ci', 'POST', 'releaseStack', { stackName, leaseId, outcome });
  }

  admin(verb, body) {
    return this.call('admin', 'POST', verb, body);
  }

  /* Requests that wait on their connections until end(); resolves when all are in the queue. */
  async wait(...bodies) {
    for (const body of bodies) {
      const wanted = (await this.get('status')).queue.length + 1;
      this.call('ci', 'POST', 'requestStack', { waitSeconds: 3600, ...body }, this.#waiting.signal).catch(() => {});
      await until(async () => (await this.get('status')).queue.length >= wanted);
    }
  }

  end() {
    this.#waiting.abort();
  }
}

/* Repeats until there is an answer other than null; fails after `seconds`. */
export async function until(look, seconds = 30) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found !== null && found !== undefined && found !== false) return found;
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${look}`);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}
