/** What the demo and the programs of its nodes say to each other. */

/** What a program is started with. */
export interface ServiceData {
  readonly node: number;
  readonly cluster: string;
  /** What the store has seen. */
  readonly tokensAbove: bigint;
  /** One number: 0 while a program that stands still is to stay so. */
  readonly gate: Int32Array;
}

/** What a program is told. `write` with `standsStill`: it looks at its lock, and then stands still for a while. */
export type Command =
  | { readonly do: 'lock' }
  | { readonly do: 'write'; readonly text: string; readonly standsStill: boolean }
  | { readonly do: 'leave' };

/** What a program tells. `writes` is for the store. */
export type ServiceEvent =
  | { readonly kind: 'joined' }
  | { readonly kind: 'granted'; readonly token: bigint }
  | { readonly kind: 'stands still'; readonly held: boolean }
  | { readonly kind: 'writes'; readonly token: bigint; readonly text: string }
  | { readonly kind: 'heard of a death'; readonly node: number }
  | { readonly kind: 'lost' };
