/** Connects once to stack `user` as the JSON argument says and prints what came of it. */
import { createUserPlugin, DlmError, StackGlue, type UserStackOptions } from '../../lib/glue.js';

const { group, uid, options } = JSON.parse(process.argv[2] ?? '{}') as {
  group: string;
  uid?: number;
  options?: UserStackOptions;
};
if (uid !== undefined) process.setuid?.(uid);

const glue = new StackGlue();
glue.register(createUserPlugin(options));
glue.clusterStack = 'pcmk';
const ignore = (): void => undefined;
glue.setLockingProtocol({
  maxVersion: { major: 1, minor: 0 },
  lockAst: ignore,
  blockingAst: ignore,
  unlockAst: ignore,
});
try {
  const connection = await glue.clusterConnect({
    stackName: 'pcmk',
    group,
    recoveryHandler: ignore,
  });
  const node = glue.clusterThisNode(connection);
  await glue.clusterDisconnect(connection);
  console.log(JSON.stringify({ node }));
} catch (error) {
  if (!(error instanceof DlmError)) throw error;
  const { code, errno, op, resource, status, message } = error;
  console.log(JSON.stringify({ code, errno, op, resource, status, message }));
}
