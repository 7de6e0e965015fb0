/** How the demos speak. */

/** The text in a colour, by its code, where somebody looks. */
export function paint(code: string, text: string): string {
  return process.stdout.isTTY ? `\u001b[${code}m${text}\u001b[0m` : text;
}

/** What the story says between what the nodes do. */
export function narrate(text: string): void {
  console.log(`\n${paint('1', text)}`);
}
