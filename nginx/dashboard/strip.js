/* strip: the time line of one stack. */

import { setAttribute, svg } from './dom.js';
import { percent, plural } from './format.js';

/* Its leases of the last 24 hours, as series.strips() outlines them. */
export function stripPicture() {
  const paths = ['test', 'refresh', 'aside', 'lost'].map((kind) => svg('path', { class: kind }));
  const node = svg('svg', { role: 'img', class: 'strip', viewBox: '0 0 1440 10', preserveAspectRatio: 'none', 'aria-label': 'no lease' }, ...paths);
  return {
    node,
    show: (strip) => {
      for (const path of paths) setAttribute(path, 'd', strip?.[path.getAttribute('class')] || null);
      setAttribute(node, 'aria-label', strip ? stripText(strip) : 'no lease');
    },
  };
}

function stripText(strip) {
  const lost = strip.losses ? `, ${strip.losses} of them expired or revoked` : '';
  return `${plural(strip.leases, 'lease')}${lost}, ${percent(strip.busy)} of the time`;
}
