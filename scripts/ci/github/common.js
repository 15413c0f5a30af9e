// What both steps of the action share: inputs become the variables that ci-stack reads.
'use strict';
const fs = require('fs');
const path = require('path');
const { spawn } = require('child_process');

const script = path.resolve(__dirname, '..', '..', 'ci-stack');
const notOptions = ['url', 'key', 'cacert', 'state', 'working-directory', 'job-status'];

function input(name) {
  return (process.env[`INPUT_${name.toUpperCase().replace(/ /g, '_')}`] || '').trim();
}

// The names are those of action.yml, read from the variables that the runner makes of them.
function environment(state) {
  const env = { ...process.env };
  for (const [name, value] of Object.entries(process.env)) {
    if (!name.startsWith('INPUT_')) continue;
    delete env[name]; // the key is one of them
    const option = name.slice('INPUT_'.length).toLowerCase();
    if (value.trim() !== '' && value.trim() !== 'false' && !notOptions.includes(option)) {
      env[`CI_STACK_${option.toUpperCase().replace(/-/g, '_')}`] = value.trim();
    }
  }
  env.ORCHESTRATOR_URL = input('url');
  env.ORCHESTRATOR_KEY = input('key');
  if (input('cacert')) env.ORCHESTRATOR_CACERT = path.resolve(input('cacert'));
  env.CI_STACK_STATE = state;
  return env;
}

// Runs ci-stack; a cancelled job's signals reach it. Resolves with its exit status.
function run(state, ...args) {
  return new Promise((resolve) => {
    const child = spawn('bash', [script, ...args], {
      cwd: path.resolve(input('working-directory') || '.'),
      env: environment(state),
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const forward = () => child.kill('SIGTERM');
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, forward);
    child.on('error', (error) => {
      console.log(`::error::ci-stack can't be started: ${error.message}`);
      resolve(127);
    });
    child.on('close', (status, signal) => resolve(signal ? 1 : status));
  });
}

// Appends to one of the runner's files; the delimiter is random, so that no value can end it.
function tell(file, name, value) {
  if (!process.env[file]) return;
  const delimiter = `end_${require('crypto').randomBytes(16).toString('hex')}`;
  fs.appendFileSync(process.env[file], `${name}<<${delimiter}\n${value}\n${delimiter}\n`);
}

module.exports = { input, run, tell };
