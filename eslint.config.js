import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** What Node gives to the plain scripts, which have no types that would tell. */
const NODE_GLOBALS = Object.fromEntries(
  ['Buffer', 'URL', 'clearTimeout', 'console', 'performance', 'process', 'setTimeout'].map(
    (name) => [name, 'readonly'],
  ),
);

export default defineConfig(
  globalIgnores(['dist/', 'build/', 'prebuilds/', '.cache/']),
  {
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: { eqeqeq: 'error' },
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      // A number prints as one expects; whatever else goes into a text must be a string.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // `() => handler(event)` is the shortest way to say it, and clear where void is expected.
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      // What was caught is handed on as it was thrown, whatever it was.
      '@typescript-eslint/only-throw-error': ['error', { allowThrowingUnknown: true }],
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // A test that is wrong about what is there fails all the same.
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  {
    // Scripts: no types, so the rules that need none.
    files: ['**/*.{js,mjs,cjs}'],
    extends: [tseslint.configs.strict, tseslint.configs.stylistic],
    languageOptions: { globals: NODE_GLOBALS },
    // TypeScript finds undefined names by itself; here nobody else does.
    rules: { 'no-undef': 'error' },
  },
  {
    files: ['**/*.cjs'],
    languageOptions: {
      sourceType: 'commonjs',
      globals: { module: 'writable', require: 'readonly' },
    },
    // Without modules there is no other way to load one.
    rules: { '@typescript-eslint/no-require-imports': 'off' },
  },
);
