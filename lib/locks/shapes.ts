/** The value blocks of a stack, as each kind of lock sees them. */
import type { BlockShape } from './block.js';
import type { Rules } from './rules.js';

/** The block as each kind of lock sees it; `bare`: with a token, and without a value. */
export type Shapes = Readonly<Record<BlockShape['kind'] | 'bare', BlockShape>>;

/** Those of a stack. */
export function shapesOf({ blockLength: length, flagsBlocks: isFlagged }: Rules): Shapes {
  const shape = { length, isFlagged, hasValue: true };
  return {
    raw: { ...shape, kind: 'raw' },
    plain: { ...shape, kind: 'plain' },
    tokens: { ...shape, kind: 'tokens' },
    bare: { ...shape, kind: 'tokens', hasValue: false },
  };
}
