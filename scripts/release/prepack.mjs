/** What `npm pack` and `npm publish` run first in a checkout, which is not what is published: see pack.ts. */
console.error(`The package is not made from a checkout: its JavaScript is bundled on the way.

  npm run release -- --dry-run

makes and checks the tarball, in .cache/release. Publish that file.`);
process.exitCode = 1;
