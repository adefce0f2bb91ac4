// Verdicts on their way: sent one after the other, in order, and again until each is kept.

const AGAIN_MS = 2000;

/** `send` keeps one; `onTrouble(waiting, message)` hears of what is not kept yet, with no message when all is well. */
export class Queue {
  constructor(send, onTrouble) {
    this.send = send;
    this.onTrouble = onTrouble;
    this.waiting = [];
    this.busy = false;
  }

  get length() {
    return this.waiting.length;
  }

  push(data) {
    this.waiting.push(data);
    if (!this.busy) this.run();
  }

  async run() {
    this.busy = true;
    while (this.waiting.length) {
      try {
        await this.send(this.waiting[0]);
        this.waiting.shift();
        this.onTrouble(this.waiting, null);
      } catch (error) {
        this.onTrouble(this.waiting, error.message);
        if (error.status === 400) this.waiting.shift(); // what the server never takes must not hold the others up
        else await new Promise((later) => setTimeout(later, AGAIN_MS));
      }
    }
    this.busy = false;
  }
}
