/**
 * What a fake machine does to a lockspace, by chance: commands in the order in which dlm_controld, corosync and
 * fs/dlm would do such things. Each plan begins and ends with a lockspace that runs.
 */
import type { Random } from '../../support/random.js';

const NODES = [2, 3, 4, 5, 6];

/** See the top of this file; one of these for each lockspace. */
export class Planner {
  readonly #random: Random;
  readonly #group: string;
  readonly #locks: readonly string[];
  readonly #members = new Set([2]);
  /** Nodes that have vanished, and whose comms directories go later. */
  readonly #late: number[] = [];
  #isQuorate = true;
  #state: 'running' | 'stopped' | 'recovering' = 'running';
  #commands: string[] = [];

  /** A lockspace as the machine makes it, with node 2. */
  constructor(random: Random, group: string, locks: readonly string[]) {
    this.#random = random;
    this.#group = group;
    this.#locks = locks;
  }

  /**
   * About so many commands, in parts that are given one after the other; where `runs` is true the lockspace
   * runs at the end of each part.
   */
  plan(count: number, runs: boolean): string[][] {
    const parts: string[][] = [['silence']];
    for (let made = 0; made < count; made += this.#commands.length) {
      this.#commands = [];
      for (let length = this.#random.below(10); this.#commands.length <= length;) this.#step();
      if (runs) this.#run();
      parts.push(this.#commands);
    }
    this.#commands = [];
    this.#run();
    while (this.#late.length > 0) this.#disconnect(0);
    // Whoever asks is answered, until the next plan.
    this.#commands.push('say');
    parts.push(this.#commands);
    return parts;
  }

  /** A part of its own, while nobody is silent: it begins and ends with a lockspace that runs. */
  part(): string[] {
    this.#commands = [];
    for (let length = this.#random.below(4); this.#commands.length <= length;) this.#step();
    this.#run();
    return this.#commands;
  }

  /** Parts: dlm_controld ends, which may be seen before the lockspace goes; or that is only taken away. */
  ending(hasEnd: boolean): string[][] {
    const end = hasEnd ? [`end ${this.#group}`] : [];
    if (hasEnd && this.#random.chance(0.5)) end.push(this.#result());
    return [end, [`remove ${this.#group}`]];
  }

  #step(): void {
    const chance = this.#random.next();
    if (chance < 0.2) {
      this.#hear();
    } else if (this.#state === 'running') {
      if (chance < 0.44) this.#to('stopped', 'stop');
      else this.#commands.push(this.#result());
    } else if (this.#state === 'stopped') {
      if (chance < 0.67) this.#change();
      else this.#to('recovering', 'recover');
    } else if (chance < 0.34) {
      this.#to('stopped', 'stop');
    } else {
      this.#to('running', 'start');
    }
  }

  #to(state: 'running' | 'stopped' | 'recovering', verb: string): void {
    this.#state = state;
    this.#commands.push(`${verb} ${this.#group}`);
  }

  #run(): void {
    if (this.#state !== 'running') this.#to('running', 'start');
  }

  /** Something that comes by way of the keeper, or late. */
  #hear(): void {
    const chance = this.#random.below(4);
    if (chance === 0) {
      this.#isQuorate = !this.#isQuorate;
      this.#commands.push(`quorum ${this.#isQuorate ? 'on' : 'off'}`);
    } else if (chance === 1 && this.#late.length > 0) {
      this.#disconnect(this.#random.below(this.#late.length));
    } else {
      this.#commands.push('say-one');
    }
  }

  #disconnect(place: number): void {
    const [node] = this.#late.splice(place, 1);
    this.#commands.push(`disconnect ${this.#group} ${node}`);
  }

  #change(): void {
    const node = this.#random.pick(NODES);
    const late = this.#late.indexOf(node);
    if (late >= 0) this.#disconnect(late);
    if (!this.#members.delete(node)) {
      this.#members.add(node);
      this.#commands.push(`join ${this.#group} ${node}`);
      return;
    }
    const verb = this.#random.pick(['fail', 'fail', 'vanish', 'vanish', 'leave']);
    this.#commands.push(`${verb} ${this.#group} ${node}`);
    if (verb === 'vanish' && this.#random.chance(0.5)) this.#late.push(node);
  }

  #result(): string {
    const lock = this.#random.pick(this.#locks);
    const chance = this.#random.below(5);
    if (chance === 0) return `block ${this.#group} ${lock} ${this.#random.pick([3, 5])}`;
    return `${chance === 1 ? 'refuse' : 'grant'} ${this.#group} ${lock}`;
  }
}
