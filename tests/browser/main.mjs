/* main: all suites. */

import { runTests } from './harness.mjs';
import './views.mjs';
import './updates.mjs';
import './administration.mjs';
import './trouble.mjs';
import './large.mjs';
import './hostile.mjs';
import './access.mjs';

process.exit(await runTests(process.argv[2] ?? '') ? 1 : 0);
