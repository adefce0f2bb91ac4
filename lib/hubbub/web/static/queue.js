// Verdicts on their way: sent one after the other, in order, and again until each is kept. Those that wait lie in the
// browser's storage too, so that a page that is closed before its server answers loses none: the next page sends them.

const AGAIN_MS = 2000;
const PREFIX = "hubbub-waiting ";

/** `send` keeps one; `onTrouble(waiting, message)` hears of what is not kept yet, with no message when all is well. */
export class Queue {
  constructor(send, onTrouble, name) {
    this.send = send;
    this.onTrouble = onTrouble;
    this.waiting = [];
    this.busy = false;
    this.trouble = null;
    this.name = name;
    this.key = `${PREFIX}${name} ${crypto.getRandomValues(new Uint32Array(2)).join("")}`;
  }

  get length() {
    return this.waiting.length;
  }

  /** Take over what pages that are closed have left, and keep others from taking over what this one has. */
  async adopt() {
    if (!navigator.locks) return; // of pages that came over the network unencrypted
    await hold(this.key);
    for (const key of Object.keys(localStorage).filter((one) => one.startsWith(`${PREFIX}${this.name} `) && one !== this.key)) {
      await navigator.locks.request(key, { ifAvailable: true }, (lock) => {
        if (!lock) return; // its page is open
        const left = JSON.parse(localStorage.getItem(key) ?? "[]");
        localStorage.removeItem(key);
        this.waiting.push(...left);
        this.store();
      });
    }
    if (this.waiting.length && !this.busy) this.run();
  }

  push(data) {
    this.waiting.push(data);
    this.store();
    if (this.trouble) this.tell(this.trouble);
    if (!this.busy) this.run();
  }

  tell(trouble) {
    this.trouble = trouble;
    this.onTrouble(this.waiting, trouble);
  }

  store() {
    if (!navigator.locks) return;
    if (this.waiting.length) localStorage.setItem(this.key, JSON.stringify(this.waiting));
    else localStorage.removeItem(this.key);
  }

  async run() {
    this.busy = true;
    while (this.waiting.length) {
      try {
        await this.send(this.waiting[0]);
        this.waiting.shift();
        this.store();
        this.tell(null);
      } catch (error) {
        if (error.status === 400) this.waiting.shift(); // what the server never takes must not hold the others up
        this.store();
        this.tell(error.message);
        if (error.status !== 400) await new Promise((later) => setTimeout(later, AGAIN_MS));
      }
    }
    this.busy = false;
  }
}

/** Hold a lock for as long as the page is open. */
const hold = (key) => new Promise((held) => navigator.locks.request(key, () => (held(), new Promise(() => {}))));
