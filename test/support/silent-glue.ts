/** A glue with stack `user` for programs that connect, and do not look at what becomes of locks. */
import { createUserPlugin, StackGlue, type UserStackOptions } from '../../lib/glue.js';

const ignore = (): void => undefined;

export function silentGlue(options?: UserStackOptions): StackGlue {
  const glue = new StackGlue();
  glue.register(createUserPlugin(options));
  glue.clusterStack = 'pcmk';
  glue.setLockingProtocol({
    maxVersion: { major: 1, minor: 0 },
    lockAst: ignore,
    blockingAst: ignore,
    unlockAst: ignore,
  });
  return glue;
}
