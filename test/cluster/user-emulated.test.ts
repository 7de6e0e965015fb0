/**
 * The specs that a node with the kernel's DLM passes (test/vm), on the emulation of stack `user`. What
 * differs is where they look: test/support/lock-view.ts, holder.ts.
 */
process.env.STACKGLUE_TEST_EMULATED = `specs-${process.pid}`;

await import('../guest/names.spec.js');
await import('../guest/flags.spec.js');
await import('../guest/libdlm-calls.spec.js');
