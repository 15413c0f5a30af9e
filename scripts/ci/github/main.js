// First step of the action: the whole job when `test` is given; otherwise everything before the tests.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { input, run, tell } = require('./common.js');

async function main() {
  // Matrix legs and re-runs share every id that the runner gives; this name is random.
  const state = path.resolve(input('state') || path.join(process.env.RUNNER_TEMP || os.tmpdir(),
    `ci-stack-${crypto.randomBytes(8).toString('hex')}.json`));
  tell('GITHUB_STATE', 'state', state);
  if (input('test')) {
    const status = await run(state, 'run');
    outputs(state);
    return status;
  }
  // The runner's worker is our parent: the lease is renewed for as long as it lives.
  let status = await run(state, 'request', '--keep', String(process.ppid));
  if (status === 0) outputs(state);
  if (status === 0 && (input('deploy') || input('deploy-unit'))) status = await run(state, 'deploy');
  const wantsExports = ['exports', 'exports-rule', 'from-stack', 'from-command', 'env-template'].some((name) => input(name));
  if (status === 0 && wantsExports) status = await run(state, 'exports');
  if (status === 0 && input('migrate')) status = await run(state, 'migrate');
  return status;
}

function outputs(state) {
  let lease;
  try {
    lease = JSON.parse(fs.readFileSync(state, 'utf8'));
  } catch {
    return; // no stack, and said so already
  }
  if (!lease.stackName) return;
  tell('GITHUB_OUTPUT', 'stack-name', lease.stackName);
  tell('GITHUB_OUTPUT', 'changed-units', (lease.changed.deploy || []).join('\n'));
  tell('GITHUB_OUTPUT', 'is-new', String(lease.isNew));
  tell('GITHUB_OUTPUT', 'last-deployed-commit', lease.lastDeployedCommit || '');
  tell('GITHUB_ENV', 'STACK_NAME', lease.stackName);
}

main().then((status) => {
  process.exitCode = status;
});
