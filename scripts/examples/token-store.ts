/**
 * A store that looks at fencing tokens: who comes with an older one than it has seen is refused, whatever they
 * believe about their lock. Small enough to be copied; RECIPES.md has the same in SQL.
 */

/** What a store says to who comes too late: somebody else has been given the lock since. */
export class StaleTokenError extends Error {
  override readonly name = 'StaleTokenError';

  constructor(
    readonly entry: string,
    readonly token: bigint,
    readonly newest: bigint,
  ) {
    super(`"${entry}" is for token ${newest} or higher now; ${token} is too old`);
  }
}

/** Texts by names, each with the highest token that anybody came with. */
export class TokenStore {
  readonly #entries = new Map<string, { token: bigint; text: string }>();

  /**
   * What was written last, for the holder of this token. From here on those with older ones are refused: else one of
   * them could still write after this, and before the holder does.
   *
   * @throws {StaleTokenError}
   */
  read(name: string, token: bigint): string {
    return this.#enter(name, token).text;
  }

  /**
   * Writes, for the holder of this token.
   *
   * @throws {StaleTokenError}
   */
  write(name: string, token: bigint, text: string): void {
    this.#enter(name, token).text = text;
  }

  /** The highest token of all names: what to say as `tokensAbove`. */
  get highestToken(): bigint {
    let highest = 0n;
    for (const { token } of this.#entries.values()) if (token > highest) highest = token;
    return highest;
  }

  #enter(name: string, token: bigint): { token: bigint; text: string } {
    const entry = this.#entries.get(name) ?? { token: 0n, text: '' };
    if (token < entry.token) throw new StaleTokenError(name, token, entry.token);
    entry.token = token;
    this.#entries.set(name, entry);
    return entry;
  }
}
