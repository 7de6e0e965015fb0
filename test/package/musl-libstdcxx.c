/*
 * What libstdc++, built for glibc, takes of glibc and musl does not have: with it a part of
 * libstdc++ runs on musl (musl.ts). Only what is asked for by that part.
 */
#include <stdint.h>
#include <unistd.h>

__attribute__((visibility("hidden"))) void* __dso_handle = &__dso_handle;

/* That there is one thread is never sure. */
char __libc_single_threaded = 0;

uint32_t arc4random(void) {
  uint32_t number = 0;
  if (getentropy(&number, sizeof number) != 0) __builtin_trap();
  return number;
}

/* Not found: the unwinder then goes by dl_iterate_phdr(), which both have. */
int _dl_find_object(void* address, void* result) {
  (void)address;
  (void)result;
  return -1;
}
