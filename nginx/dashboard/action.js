/* action: the dialog in which an administrator says why, and does it. */

import { byId, setText } from './dom.js';

const VERBS = {
  holdStack: {
    title: 'Hold', button: 'Hold', fields: ['seconds'],
    text: 'Keeps the stack for a person, for example for a post-mortem. It returns to the pool by itself when the time is up.',
  },
  quarantineStack: {
    title: 'Quarantine', button: 'Quarantine', fields: [],
    text: 'Takes a broken stack out of the pool until somebody reinstates it.',
  },
  reinstateStack: {
    title: 'Reinstate', button: 'Reinstate', fields: [],
    text: 'Returns the stack to the pool. If a job has it, it returns when the job gives it back, instead of being set aside.',
  },
  pause: {
    title: 'Pause', button: 'Pause', fields: [], call: 'updateProject', says: { paused: true },
    text: 'Nobody gets a stack until somebody resumes it. Who waits goes on waiting, and is told why. Leases go on.',
  },
  resume: {
    title: 'Resume', button: 'Resume', fields: [], call: 'updateProject', says: { paused: false },
    text: 'Those who wait get stacks again.',
  },
  revokeLease: {
    title: 'Revoke the lease of', button: 'Revoke', fields: [],
    text: 'Takes the stack from its job at once. The job learns of it only at its next call, and may still be deploying.',
  },
};

export class ActionDialog {
  #verb = null;
  #target = null;

  /* done(message): it happened. */
  constructor(done) {
    this.dialog = byId('action');
    this.form = byId('action-form');
    this.done = done;
    byId('action-cancel').addEventListener('click', () => this.dialog.close());
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send();
    });
  }

  /* `target`: a stack, or the project. */
  open(verb, target, api) {
    this.#verb = verb;
    this.#target = target;
    this.api = api;
    const { title, text, button, fields } = VERBS[verb];
    this.form.reset();
    setText(byId('action-title'), `${title} ${target.stackName ?? target.name}`);
    setText(byId('action-text'), text);
    setText(byId('action-do'), button);
    setText(byId('action-error'), '');
    byId('action-seconds-field').hidden = !fields.includes('seconds');
    byId('action-revoke-field').hidden = !target.lease || !['holdStack', 'quarantineStack'].includes(verb);
    this.dialog.showModal();
    byId('action-reason').focus();
  }

  close() {
    this.dialog.close();
  }

  async #send() {
    const button = byId('action-do');
    if (button.getAttribute('aria-disabled')) return;
    button.setAttribute('aria-disabled', 'true');
    try {
      const { message } = await this.api.post(VERBS[this.#verb].call ?? this.#verb, this.#body());
      this.dialog.close();
      this.done(message);
    } catch (error) {
      if (!this.api.isEnded) setText(byId('action-error'), error.message);
    } finally {
      button.removeAttribute('aria-disabled');
    }
  }

  #body() {
    const reason = byId('action-reason').value.trim();
    if (VERBS[this.#verb].says) return { ...VERBS[this.#verb].says, reason };
    const body = { stackName: this.#target.stackName, reason };
    // Only the lease that the administrator saw, not one that came since.
    if (this.#verb === 'revokeLease') body.fence = this.#target.lease.fence;
    if (!byId('action-seconds-field').hidden) body.seconds = Number(byId('action-seconds').value);
    if (!byId('action-revoke-field').hidden) body.revoke = byId('action-revoke').checked;
    return body;
  }
}
