/* seed: rows that would take a day to come about: a day's history by simulating jobs and stacks,
 * and large pools. Written as the instance's administrator; the program notices by the version. */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const BRANCHES = ['main', 'main', 'main', 'feature/basket-totals', 'feature/basket-totals', 'fix/orders-retry',
  'dependabot/npm/aws-sdk', 'feature/invoice-pdf', 'refactor/payments', 'fix/login-redirect', 'spike/event-bridge'];
const USERS = ['ada', 'grace', 'linus', 'margaret', 'edsger'];
/* How busy each hour of a working day is. */
const BUSY = [1, 1, 1, 1, 1, 2, 4, 8, 14, 20, 22, 18, 12, 18, 22, 20, 16, 12, 8, 5, 4, 3, 2, 1];

export class Seed {
  #random;

  constructor(varDirectory, seed = 1) {
    this.cnf = `${varDirectory}/etc/admin.cnf`;
    this.database = /^database_name *= *(\S+)/m.exec(readFileSync(`${varDirectory}/etc/stack-orchestrator.conf`, 'utf8'))[1];
    this.#random = randomFrom(seed);
  }

  /* Runs statements; `now` in them is the database's clock. */
  sql(text) {
    const result = spawnSync('mariadb', [`--defaults-file=${this.cnf}`, '--default-character-set=utf8mb4', '--batch',
      '--skip-column-names', this.database], { input: `SET time_zone = '+00:00', @now = UTC_TIMESTAMP(6);\n${text}`, encoding: 'utf8', maxBuffer: 1e8 });
    if (result.status !== 0) throw new Error(`mariadb: ${result.error ?? result.stderr}`);
    return result.stdout;
  }

  /* `count` stacks of a project, idle for a while. */
  stacks(project, count) {
    const rows = range(count).map((i) => `(@p, ${i + 1}, 'available', 3, ${quote(this.#branch())}, ${quote(this.#commit())},
      @now - INTERVAL 20 DAY, @now - INTERVAL ${60 + i} SECOND)`);
    this.#change(project, `INSERT INTO stack (project_id, stack_no, state, fence, branch, last_deployed_commit, created, modified)
      VALUES ${rows.join()};`);
  }

  /* A day of jobs that went through `count` stacks; it ended some minutes ago. */
  day(project, count, jobsPerHour = 1) {
    const free = range(count).map(() => -Infinity);
    const rows = [];
    const end = -8 * 60;
    let second = -24 * 3600;
    let number = 1;
    while (second < end) {
      const hour = new Date(Date.now() + second * 1000).getHours();
      second += -Math.log(1 - this.#random()) * 3600 / (BUSY[hour] * jobsPerHour);
      const stack = free.indexOf(Math.min(...free));
      const granted = Math.max(second, free[stack]);
      if (granted >= end) break;
      rows.push(this.#job(number++, second, granted, stack + 1, free, end));
    }
    const columns = `project_id, lease_no, state, outcome, key_name, branch, commit_id, purpose, job_url, job_name, job_user,
      stack_no, fence, changed_units, asked_at, granted_at, deployed_at, ended_at`;
    this.#change(project, `INSERT INTO history (${columns}) VALUES ${rows.join(',\n')};
      UPDATE project SET next_lease_no = ${number + 1000} WHERE project_id = @p;`);
    return rows.length;
  }

  /* {unit: [mean seconds, deploys]} */
  times(project, units) {
    const rows = Object.entries(units).map(([unit, [seconds, deploys]]) =>
      `(@p, ${quote(unit)}, ${seconds * 1000}, ${seconds * 1000}, ${deploys}, UTC_TIMESTAMP(6))`);
    this.#change(project, `INSERT INTO deploy_time (project_id, unit, mean_ms, weight_ms, deploys, measured_at)
      VALUES ${rows.join(', ')};`);
  }

  #job(number, asked, granted, stack, free, end) {
    const dice = this.#random();
    const url = `'https://ci.example/shop/runs/${48000 + number}'`;
    const tail = `'shop-ci', ${quote(this.#branch())}, ${quote(this.#commit())}, 'test', ${url}, 'integration #${48000 + number}', '${this.#one(USERS)}'`;
    // Impatient ones never got a stack.
    if (granted - asked > 900 && dice < 0.5) {
      return `(@p, ${number}, '${dice < 0.3 ? 'timedOut' : 'superseded'}', NULL, ${tail}, NULL, NULL, NULL,
        ${at(asked)}, NULL, NULL, ${at(Math.min(end, asked + 900))})`;
    }
    const lost = dice > 0.985;
    const units = dice < 0.35 ? 0 : Math.floor(this.#random() * 14);
    const hold = lost ? 3600 : 240 + units * 35 + this.#random() ** 3 * 1800;
    free[stack - 1] = Math.min(end, granted + hold);
    const outcome = lost ? null : dice > 0.9 ? 'failed' : 'success';
    return `(@p, ${number}, '${lost ? 'expired' : 'released'}', ${quote(outcome)}, ${tail}, ${stack}, ${number}, ${units},
      ${at(asked)}, ${at(granted)}, ${at(Math.min(end, granted + 20 + units * 35))}, ${at(free[stack - 1])})`;
  }

  /* A lease on each of the first `count` stacks. */
  leases(project, count) {
    const rows = range(count).map((i) => `(@p, ${i + 1}, 'active', 'shop-ci', ${quote(this.#branch())}, ${quote(this.#commit())}, 'test',
      'https://ci.example/runs/${i + 1}', 'integration #${i + 1}', '${this.#one(USERS)}', 3600, UNHEX(MD5(${i})), ${i + 1}, 4,
      @now - INTERVAL ${i + 60} SECOND, @now - INTERVAL ${i + 30} SECOND, @now + INTERVAL ${3600 - i} SECOND)`);
    this.#change(project, `INSERT INTO lease (project_id, lease_no, state, key_name, branch, commit_id, purpose, job_url, job_name, job_user,
        lease_s, lease_id, stack_no, fence, asked_at, granted_at, expires_at) VALUES ${rows.join()};
      UPDATE stack SET state = 'leased', fence = 4, lease_no = stack_no WHERE project_id = @p AND stack_no <= ${count};`);
  }

  /* `count` requests that wait, nobody connected, with an hour to come back. */
  waiters(project, count) {
    const rows = range(count).map((i) => `(@p, ${i + 10001}, 'waiting', 'waiter-${i}', 'shop-ci', ${quote(this.#branch())}, ${quote(this.#commit())},
      'test', 'https://ci.example/runs/${i}', 'integration #${i}', '${this.#one(USERS)}', 3600, @now - INTERVAL ${1200 - i} SECOND, NULL, @now + INTERVAL 1 HOUR)`);
    this.#change(project, `INSERT INTO lease (project_id, lease_no, state, request_id, key_name, branch, commit_id, purpose, job_url, job_name,
        job_user, lease_s, asked_at, wait_until, place_until) VALUES ${rows.join()};
      UPDATE project SET next_lease_no = 20000 WHERE project_id = @p;`);
  }

  /* As if what is so now had come about some minutes ago, one thing after the other. */
  age(project) {
    this.#change(project, `SET @i = 0;
      UPDATE lease SET asked_at = asked_at - INTERVAL (@age := 60 + (@i := @i + 1) * 67 % 400) SECOND,
        granted_at = granted_at - INTERVAL @age SECOND, expires_at = expires_at - INTERVAL @age SECOND
        WHERE project_id = @p ORDER BY lease_no;
      UPDATE stack SET modified = modified - INTERVAL 440 SECOND WHERE project_id = @p;`);
  }

  #change(project, text) {
    this.sql(`SELECT project_id INTO @p FROM project WHERE name = ${quote(project)};
      START TRANSACTION; ${text} UPDATE project SET version = version + 1 WHERE project_id = @p; COMMIT;`);
  }

  #one(list) {
    return list[Math.floor(this.#random() * list.length)];
  }

  #branch() {
    return this.#one(BRANCHES);
  }

  #commit() {
    return range(40).map(() => Math.floor(this.#random() * 16).toString(16)).join('');
  }
}

function at(second) {
  return `@now + INTERVAL ${second.toFixed(3)} SECOND`;
}

export function quote(text) {
  return text === null ? 'NULL' : `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

function range(count) {
  return Array.from({ length: count }, (_, i) => i);
}

/* The same numbers in each run (mulberry32). */
function randomFrom(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
