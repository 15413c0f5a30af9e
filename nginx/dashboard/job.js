/* job: who has a lease or waits for one. */

import { el, foreign } from './dom.js';

/* Its name, as a link where a link is safe, and its user. */
export function jobLink({ job, keyName }) {
  const name = job.name ?? job.user ?? keyName;
  const user = job.name && job.user ? foreign(job.user, { class: 'note' }) : null;
  const url = safeUrl(job.url);
  const who = url
    ? el('a', { href: url, target: '_blank', rel: 'noopener noreferrer', title: url }, foreign(name, { title: null }))
    : foreign(name);
  return [who, user].filter(Boolean);
}

export function safeUrl(text) {
  const url = text && URL.canParse(text) ? new URL(text) : null;
  return url && (url.protocol === 'https:' || url.protocol === 'http:') ? url.href : null;
}
