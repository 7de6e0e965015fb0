/** The decisions that the real system takes by chance: a run of the model asks for each as it comes to it. */

/** Decides. */
export interface Choices {
  /**
   * Which of `count` possibilities the run takes; at least two. `state` gives all that the run's future
   * depends on, in words. Throws `Abandoned` when it is known already what comes of that state.
   */
  choose(count: number, state: () => string): number;
}

/** The run that was under way is of no use any more. */
export class Abandoned extends Error {
  override readonly name = 'Abandoned';
}

/** Takes the first possibility: the order in which things became possible. */
export const firstChoices: Choices = { choose: () => 0 };
