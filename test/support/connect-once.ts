/** Connects once to stack `user` as the JSON argument says and prints what came of it. */
import { DlmError, type UserStackOptions } from '../../lib/glue.js';
import { silentGlue } from './silent-glue.js';

const { group, uid, options } = JSON.parse(process.argv[2] ?? '{}') as {
  group: string;
  uid?: number;
  options?: UserStackOptions;
};
if (uid !== undefined) process.setuid?.(uid);

const glue = silentGlue(options);
try {
  const connection = await glue.clusterConnect({
    stackName: 'pcmk',
    group,
    recoveryHandler: () => undefined,
  });
  const node = glue.clusterThisNode(connection);
  await glue.clusterDisconnect(connection);
  console.log(JSON.stringify({ node }));
} catch (error) {
  if (!(error instanceof DlmError)) throw error;
  const { code, errno, op, resource, status, message } = error;
  console.log(JSON.stringify({ code, errno, op, resource, status, message }));
}
