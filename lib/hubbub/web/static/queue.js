// Verdicts on their way: sent one after the other, in order, and again until each is kept.

const AGAIN_MS = 2000;

/** `send` keeps one; `onTrouble(waiting, message)` hears of what is not kept yet, with no message when all is well. */
export class Queue {
  constructor(send, onTrouble) {
    this.send = send;
    this.onTrouble = onTrouble;
    this.waiting = [];
    this.busy = false;
    this.trouble = null;
  }

  get length() {
    return this.waiting.length;
  }

  push(data) {
    this.waiting.push(data);
    if (this.trouble) this.tell(this.trouble);
    if (!this.busy) this.run();
  }

  tell(trouble) {
    this.trouble = trouble;
    this.onTrouble(this.waiting, trouble);
  }

  async run() {
    this.busy = true;
    while (this.waiting.length) {
      try {
        await this.send(this.waiting[0]);
        this.waiting.shift();
        this.tell(null);
      } catch (error) {
        if (error.status === 400) this.waiting.shift(); // what the server never takes must not hold the others up
        this.tell(error.message);
        if (error.status !== 400) await new Promise((later) => setTimeout(later, AGAIN_MS));
      }
    }
    this.busy = false;
  }
}
