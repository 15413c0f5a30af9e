// Last step of the action: runs when the job ends, however it ends. Releasing twice does no harm.
'use strict';
const { input, run } = require('./common.js');

async function main() {
  const state = process.env.STATE_state;
  if (!state) return;
  const args = ['release'];
  if (input('job-status') === 'failure') args.push('--failed');
  if (input('job-status') === 'cancelled') args.push('--failed', '--on-failure', 'release');
  const status = await run(state, ...args);
  // The stack frees itself when its lease ends: no reason to fail a job whose tests passed.
  if (status !== 0) console.log(`::warning::the stack could not be released (status ${status})`);
}

main();
