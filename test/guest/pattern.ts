/** What painted memory is full of. No program says such a thing by chance. */
export const PATTERN = 'qZ7~xK3#';
