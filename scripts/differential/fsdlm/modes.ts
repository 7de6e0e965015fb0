/** Lock modes. */

/** Bit m of row a: mode m goes with mode a (fs/dlm/lock.c:__dlm_compat_matrix). */
const GOES_WITH = [0b111111, 0b011111, 0b000111, 0b001011, 0b000011, 0b000001];

/** Whether a lock may be held in one mode while another is held in the other. */
export function goesWith(a: number, b: number): boolean {
  const row = GOES_WITH[a];
  if (row === undefined) throw new RangeError(`there is no mode ${a}`);
  return ((row >> b) & 1) !== 0;
}
