/** Does what a sanitizer has to find: `use after free`, `race` or `leak`. */
import { createRequire } from 'node:module';

const planted = createRequire(import.meta.url)(
  '../../../../build/Release/planted/stackglue.node',
) as Record<string, () => void>;
planted[process.argv[2] ?? '']?.();
