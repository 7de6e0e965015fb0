/** How long work tells its caller what it is doing. */

/** Is told of each step when it starts and when it has ended, with its time in milliseconds. */
export interface Progress {
  /** A step starts: a short phrase such as "Downloading 52 packages". */
  start(step: string): void;
  /** The step named last has ended. */
  done(step: string, elapsedMs: number): void;
}

/** A listener for those who do not want to know. */
export const SILENT: Progress = {
  start() {
    // Nothing to say.
  },
  done() {
    // Nothing to say.
  },
};

/** Does `work` as one named step of `progress`. */
export async function step<T>(
  progress: Progress,
  name: string,
  work: () => Promise<T>,
): Promise<T> {
  const started = performance.now();
  progress.start(name);
  const result = await work();
  progress.done(name, performance.now() - started);
  return result;
}

/** Prints one line for each step that has ended, with its time. */
export function printingProgress(print: (line: string) => void): Progress {
  return {
    start() {
      // Only finished steps are worth a line.
    },
    done(name, elapsedMs) {
      print(`${(elapsedMs / 1000).toFixed(1).padStart(6)} s  ${name}`);
    },
  };
}
